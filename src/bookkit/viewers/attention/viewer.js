// The attention viewer: tokens in two columns, lines between them, and a map of all heads.

// biome-ignore lint/correctness/noUnusedVariables: the fragment calls it
function mount(root, data, host) {
  const {layers, heads, causal, tokens} = data, n = tokens.length;
  const codes = Uint8Array.from(atob(data.blob), (letter) => letter.charCodeAt(0));
  const size = causal ? n * (n + 1) / 2 : n * n;
  // Where the row of a query begins; a causal map holds only the keys up to the query.
  const start = (layer, head, query) => (layer * heads + head) * size + (causal ? query * (query + 1) / 2 : query * n);
  const weight = (query, key, layer = now.layer, head = now.head) =>
    causal && key > query ? 0 : codes[start(layer, head, query) + key] / 255;
  // now: what is chosen; over: what the pointer is on, {side, token} or {query, key}, or null.
  const now = {layer: data.layer, head: data.head, side: "query", token: data.token, view: "one"};
  let over = null;

  // ---- the parts
  const box = el("div", "bkv");
  const top = el("div", "bkv-top"), pick = el("div", "bk-NAME-pick");
  const selects = {};
  for (const [name, count] of [["layer", layers], ["head", heads]]) {
    const label = el("label", null, name === "layer" ? "Layer" : "Head"), select = el("select");
    for (let i = 0; i < count; i++) select.append(el("option", null, i, {value: i}));
    select.onchange = () => choose({[name]: Number(select.value)});
    label.append(select);
    pick.append(label);
    selects[name] = select;
  }
  const views = choices("Show", [["one", "One token"], ["all", "All tokens"], ["matrix", "Matrix"]], now.view, (view) => choose({view}));
  top.append(el("p", "bkv-title", data.title), pick, views);
  const said = el("p", "bk-NAME-said"), speech = speaker();

  const columns = el("div", "bk-NAME-columns");
  const titles = {query: el("div", "bk-NAME-head bk-NAME-q", "this token"), key: el("div", "bk-NAME-head", "looks at")};
  const rows = {query: [], key: []}, lists = {};
  for (const side of ["query", "key"]) {
    lists[side] = el("div", "bk-NAME-list", null, {role: "listbox", "aria-label": side === "query" ? "Queries: the tokens that look" : "Keys: the tokens looked at"});
    tokens.forEach((token, i) => {
      const row = el("div", "bk-NAME-row" + (side === "query" ? " bk-NAME-q" : ""), null, {role: "option", tabindex: -1, "aria-label": token.name, "data-token": i});
      row.append(face(token.parts), el("small"));
      rows[side].push(row);
      lists[side].append(row);
    });
    const at = (event) => { const row = event.target.closest("[data-token]"); return row ? Number(row.dataset.token) : null; };
    lists[side].addEventListener("click", (event) => { if (at(event) !== null) choose({side, token: at(event)}, true); });
    lists[side].addEventListener("focusin", (event) => { if (side !== now.side) choose({side, token: at(event)}); });
    lists[side].addEventListener("pointerover", (event) => { if (event.pointerType === "mouse" && at(event) !== null) hover({side, token: at(event)}); });
    lists[side].addEventListener("pointerleave", () => hover(null));
    lists[side].addEventListener("keydown", (event) => {
      const to = {ArrowDown: now.token + 1, ArrowUp: now.token - 1, Home: 0, End: n - 1}[event.key];
      if (to !== undefined) choose({side, token: limit(to, 0, n - 1)}, true);
      else if (event.key === "ArrowLeft" || event.key === "ArrowRight")
        choose({side: event.key === "ArrowLeft" || now.view === "matrix" ? "query" : "key"}, true);
      else return;
      event.preventDefault();
    });
  }

  // One curve for each pair that has a weight at all; one more for each token, drawn over them.
  const lines = svg("svg", {class: "bk-NAME-lines", viewBox: `0 0 100 ${n}`, preserveAspectRatio: "none", "aria-hidden": "true"});
  const rest = svg("g", {class: "bk-NAME-rest"}), lit = svg("g", {class: "bk-NAME-lit"});
  const curve = (query, key) => `M0 ${query + .5}C50 ${query + .5} 50 ${key + .5} 100 ${key + .5}`;
  const paint = (path, share) => {
    path.style.display = share > 0 ? "" : "none";
    path.style.strokeWidth = .6 + 7 * share;
    path.style.strokeOpacity = Math.min(1, .12 + Math.sqrt(share));
  };
  const pairs = [];
  for (let query = 0; query < n; query++)
    for (let key = 0; key < (causal ? query + 1 : n); key++) {
      const path = svg("path", {d: curve(query, key)});
      pairs.push({query, key, path});
      rest.append(path);
    }
  const bright = tokens.map(() => lit.appendChild(svg("path")));
  lines.append(rest, lit);

  const across = el("div", "bk-NAME-across", null, {"aria-hidden": "true", style: `--n:${n}`});
  for (const token of tokens) across.append(face(token.parts));
  const matrix = el("div", "bk-NAME-matrix"), picture = el("canvas", null, null, {role: "img"}), frame = el("div", "bk-NAME-frame");
  picture.width = picture.height = n;
  matrix.append(picture, frame);
  columns.append(titles.query, el("div"), titles.key, across, lists.query, lines, lists.key, matrix);

  const figure = el("figure", "bk-NAME-heads"), caption = el("figcaption");
  const map = el("canvas", null, null, {tabindex: 0, role: "application", "aria-roledescription": "map of all heads"});
  const mark = el("div", "bk-NAME-mark"), point = el("div", "bk-NAME-mark bk-NAME-point");
  figure.append(caption, map, mark, point);
  const body = el("div", "bk-NAME-body");
  body.append(columns, figure);
  const hint = "Point at a token or move with the arrow keys; choose a head from the small maps.";
  box.append(top, el("p", "bkv-note", data.cut ? `${hint} ${data.cut}` : hint), said, body, el("p", "bkv-note bk-NAME-note", data.note), speech.node);
  root.append(box);

  // ---- all heads, one pixel for each weight: drawn once for each theme, then only copied
  const sheet = document.createElement("canvas");
  sheet.width = heads * n;
  sheet.height = layers * n;
  function drawSheet() {
    const pen = sheet.getContext("2d");
    pen.fillStyle = getComputedStyle(host).getPropertyValue("--bk-orange").trim();
    const [red, green, blue] = pen.fillStyle.match(/[0-9a-f]{2}/g).map((pair) => parseInt(pair, 16));
    const image = pen.createImageData(sheet.width, sheet.height);
    for (let layer = 0; layer < layers; layer++)
      for (let head = 0; head < heads; head++)
        for (let query = 0; query < n; query++)
          for (let key = 0; key < (causal ? query + 1 : n); key++) {
            // The square root, so that faint weights can be seen too.
            const share = weight(query, key, layer, head);
            image.data.set([red, green, blue, Math.round(255 * Math.sqrt(share))], 4 * ((layer * n + query) * sheet.width + head * n + key));
          }
    pen.putImageData(image, 0, 0);
  }

  // Layers run down on a wide page; on a narrow one the longer side runs across.
  const grid = {cell: 0, down: true, left: 0};
  const GAP = 2;
  const place = (layer, head) => grid.down ? [head, layer] : [layer, head];
  function drawMap() {
    const width = body.clientWidth, narrow = getComputedStyle(body).gridTemplateColumns.split(" ").length < 2;
    grid.down = !narrow || heads > layers;
    const [across_, down_] = grid.down ? [heads, layers] : [layers, heads];
    const room = narrow ? width - 30 : 250, tall = narrow ? 200 : Math.max(380, n * 27);
    grid.cell = limit(Math.floor(Math.min(room / across_, tall / down_)), 7, 34);
    grid.left = 22;
    const wide = grid.left + across_ * grid.cell, high = down_ * grid.cell, ratio = devicePixelRatio || 1;
    map.width = wide * ratio;
    map.height = high * ratio;
    map.style.width = wide + "px";
    map.style.height = high + "px";
    const pen = map.getContext("2d"), style = getComputedStyle(host);
    pen.scale(ratio, ratio);
    pen.fillStyle = style.getPropertyValue("--bk-muted");
    pen.font = "11px " + style.getPropertyValue("--bk-sans");
    pen.textAlign = "end";
    pen.textBaseline = "middle";
    const every = grid.cell > 15 ? (down_ > 12 ? 5 : 1) : down_ > 12 ? 5 : 2;
    for (let i = 0; i < down_; i += every) pen.fillText(i, grid.left - 6, (i + .5) * grid.cell);
    pen.imageSmoothingQuality = "high";
    const ground = style.getPropertyValue("--bk-tint-1"), inner = grid.cell - GAP;
    for (let layer = 0; layer < layers; layer++)
      for (let head = 0; head < heads; head++) {
        const [x, y] = place(layer, head).map((i) => i * grid.cell + 1);
        pen.fillStyle = ground;
        pen.fillRect(grid.left + x, y, inner, inner);
        pen.drawImage(sheet, head * n, layer * n, n, n, grid.left + x, y, inner, inner);
      }
    caption.textContent = grid.down ? "All heads: layers ↓ heads →" : "All heads: layers → heads ↓";
    drawMark(mark, now);
  }
  function drawMark(box, at) {
    box.hidden = !at;
    if (!at) return;
    const [x, y] = place(at.layer, at.head);
    box.style.cssText = `left:${map.offsetLeft + grid.left + x * grid.cell - 1}px;top:${map.offsetTop + y * grid.cell - 1}px;width:${grid.cell + 2}px;height:${grid.cell + 2}px`;
  }

  // ---- words
  const quoted = (i) => face(tokens[i].parts);
  const shares = (side, token) => tokens.map((_, i) => side === "query" ? weight(token, i) : weight(i, token));
  const means = () => tokens.map((_, key) => shares("key", key).reduce((sum, share) => sum + share) / n);
  const highest = (values, count) => values.map((share, i) => [share, i]).filter(([share]) => share > 0)
    .sort((a, b) => b[0] - a[0]).slice(0, count);
  function sentence(side, token, values) {
    const parts = highest(values, 3).flatMap(([share, i], at) => {
      const pair = el("span", "bk-NAME-pair"), number = el("b", null, percent(share));
      pair.append(...(side === "query" ? [quoted(i), " ", number] : [number, " of ", quoted(i)]));
      return [at ? ", " : "", pair];
    });
    const verb = side === "query" ? " looks at " : " gets ";
    if (token < 0) return ["Every token looks, on average, at ", ...parts, "."];
    return [quoted(token), verb, ...(parts.length ? parts : ["nothing that can be seen"]), "."];
  }
  const spoken = (side, token) => {
    const values = highest(shares(side, token), 6).map(([share, i]) => `${tokens[i].name} ${percent(share)}`).join(", ") || "nothing";
    return side === "query" ? `${tokens[token].name} looks at ${values}` : `${tokens[token].name} is looked at by ${values}`;
  };

  // ---- drawing
  function drawLines() {
    for (const {query, key, path} of pairs) paint(path, weight(query, key));
    const pen = picture.getContext("2d");
    pen.clearRect(0, 0, n, n);
    pen.drawImage(sheet, now.head * n, now.layer * n, n, n, 0, 0, n, n);
    drawMark(mark, now);
    selects.layer.value = now.layer;
    selects.head.value = now.head;
    picture.setAttribute("aria-label", `Matrix of layer ${now.layer}, head ${now.head}: queries down, keys across`);
    map.setAttribute("aria-label", `All ${layers * heads} heads, arrow keys choose: layer ${now.layer}, head ${now.head}`);
  }
  function drawToken() {
    const cell = over && over.key !== undefined ? over : null;
    // Among all lines no token is meant before the pointer is on one: then the keys show what they get on average.
    const all = now.view === "all" && !over;
    const side = cell || all ? "query" : (over ?? now).side, token = all ? -1 : cell ? cell.query : (over ?? now).token;
    const other = side === "query" ? "key" : "query", values = all ? means() : shares(side, token);
    tokens.forEach((_, i) => {
      const share = values[i], row = rows[other][i], mine = rows[side][i];
      row.style.setProperty("--w", share);
      row.lastChild.textContent = percent(share);
      row.classList.remove("bk-NAME-on");
      mine.style.setProperty("--w", 0);
      mine.lastChild.textContent = "";
      mine.classList.toggle("bk-NAME-on", i === token);
      if (!all) bright[i].setAttribute("d", side === "query" ? curve(token, i) : curve(i, token));
      paint(bright[i], all ? 0 : share);
      across.children[i].classList.toggle("bk-NAME-on", cell ? i === cell.key : side === "key" && i === token);
    });
    lines.classList.toggle("bk-NAME-over", Boolean(over));
    titles.query.textContent = all ? "every token" : side === "query" ? "this token" : "seen by";
    titles.key.textContent = all ? "looks on average at" : side === "query" ? "looks at" : "this token";
    said.replaceChildren(...(cell ? [quoted(cell.query), causal && cell.key > cell.query ? " cannot look ahead to " : " looks at ", quoted(cell.key),
      " ", el("b", null, causal && cell.key > cell.query ? "" : percent(weight(cell.query, cell.key)) || "0 %")] : sentence(side, token, values)));
    const span = (i) => [100 * i / n + "%", 100 / n + "%"];
    const [top, height] = cell || side === "query" ? span(token) : ["0", "100%"];
    const [left, width] = cell ? span(cell.key) : side === "query" ? ["0", "100%"] : span(token);
    Object.assign(frame.style, {top, height, left, width});
  }

  // Every change of what is chosen goes through here; focus: whether the chosen row takes the keyboard's focus.
  function choose(change, focus = false) {
    const before = {...now}, began = performance.now();
    Object.assign(now, change);
    if (change.view) {
      box.classList.toggle("bk-NAME-all", now.view === "all");
      const square = now.view === "matrix";
      for (const node of [lines, lists.key, titles.key, titles.query.nextSibling]) node.hidden = square;
      lines.style.display = square ? "none" : "";
      matrix.hidden = across.hidden = !square;
    }
    // Choosing a token among all lines means: this one.
    if (change.token !== undefined && now.view === "all") views.querySelector('[value="one"]').click();
    const old = rows[before.side][before.token], row = rows[now.side][now.token];
    old.setAttribute("aria-selected", "false");
    old.setAttribute("aria-label", tokens[before.token].name);
    for (const side of ["query", "key"]) {
      rows[side][before.token].tabIndex = -1;
      rows[side][now.token].tabIndex = 0;
    }
    row.setAttribute("aria-selected", "true");
    row.setAttribute("aria-label", spoken(now.side, now.token));
    if (now.layer !== before.layer || now.head !== before.head) {
      drawLines();
      speech.say(`Layer ${now.layer}, head ${now.head}: ${spoken(now.side, now.token)}`);
    }
    drawToken();
    if (focus) row.focus();
    host.bookkit.took = performance.now() - began;
  }
  function hover(what) {
    const began = performance.now();
    over = what;
    drawToken();
    host.bookkit.took = performance.now() - began;
  }

  // ---- the pointer on the map and on the matrix
  const headAt = (event) => {
    const x = Math.floor((event.offsetX - grid.left) / grid.cell), y = Math.floor(event.offsetY / grid.cell);
    const [layer, head] = grid.down ? [y, x] : [x, y];
    return layer >= 0 && layer < layers && head >= 0 && head < heads ? {layer, head} : null;
  };
  map.addEventListener("pointerdown", (event) => { const at = headAt(event); if (at) choose(at); });
  map.addEventListener("pointermove", (event) => {
    const at = headAt(event);
    if (at && event.buttons) choose(at);
    drawMark(point, event.pointerType === "mouse" ? at : null);
    map.title = at ? `layer ${at.layer}, head ${at.head}` : "";
  });
  map.addEventListener("pointerleave", () => drawMark(point, null));
  map.addEventListener("keydown", (event) => {
    const step = {ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1]}[event.key];
    if (!step) return;
    event.preventDefault();
    const [layer, head] = grid.down ? [step[1], step[0]] : step;
    choose({layer: limit(now.layer + layer, 0, layers - 1), head: limit(now.head + head, 0, heads - 1)});
  });
  const cellAt = (event) => ({query: limit(Math.floor(n * event.offsetY / picture.clientHeight), 0, n - 1),
    key: limit(Math.floor(n * event.offsetX / picture.clientWidth), 0, n - 1)});
  picture.addEventListener("pointermove", (event) => hover(cellAt(event)));
  picture.addEventListener("pointerdown", (event) => { choose({side: "query", token: cellAt(event).query}); hover(cellAt(event)); });
  picture.addEventListener("pointerleave", () => hover(null));

  // ---- begin
  host.bookkit = {choose, hover, weight, now};
  const redraw = () => { drawSheet(); drawMap(); drawLines(); };
  point.hidden = true;
  choose({view: "one"});
  redraw();
  onTheme(redraw);
  let known = box.clientWidth;
  new ResizeObserver(() => { if (box.clientWidth !== known) { known = box.clientWidth; drawMap(); } }).observe(box);
}
