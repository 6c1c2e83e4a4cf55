// The sentence map: points that can be looked at, searched, and seen in more than one projection.

// biome-ignore lint/correctness/noUnusedVariables: the fragment calls it
function mount(root, data, host) {
  const {texts, titles, names, groups, maps, notes, near, scale} = data, n = texts.length;
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const now = {map: 0, at: data.chosen, query: "", group: -1};
  let over = -1, width = 0, height = 0, frame = 0;
  // Where each point stands at the moment, as shares of the picture.
  const xs = new Float64Array(n), ys = new Float64Array(n);
  const title = (i) => titles ? titles[i] : texts[i].length > 60 ? texts[i].slice(0, 59) + "…" : texts[i];
  const lower = texts.map((text, i) => `${titles ? titles[i] : ""}\n${text}\n${groups ? names[groups[i]] : ""}`.toLowerCase());

  // ---- the parts
  const box = el("div", "bkv bk-NAME bk-NAME-live"), top = el("div", "bkv-top"), bar = el("div", "bk-NAME-bar");
  const heading = el("p", "bkv-title");
  top.append(heading);
  if (maps.length > 1) top.append(choices("Map", maps.map(([name], i) => [String(i), name]), "0", (key) => turn(Number(key))));
  const field = el("input", "bk-NAME-search", null, {slot: "search", type: "search", dir: "auto", spellcheck: "false", autocomplete: "off",
    placeholder: `Search the ${data.what}`, "aria-label": `Search the ${data.what}`});
  host.append(field);
  const find = el("div", "bk-NAME-find"), count = el("span", "bk-NAME-count"), speech = speaker();
  find.append(el("slot", null, null, {name: "search"}));
  bar.append(find, count);
  if (names.length) {
    const label = el("label", "bk-NAME-group", "Show"), select = el("select");
    select.append(el("option", null, "everything", {value: -1}));
    names.forEach((name, i) => { select.append(el("option", null, name, {value: i})); });
    select.onchange = () => { now.group = Number(select.value); mark(); };
    label.append(select);
    bar.append(label);
  }
  const main = el("div", "bk-NAME-main"), picture = el("div", "bk-NAME-picture"), side = el("div", "bk-NAME-side");
  const map = svg("svg", {class: "bk-NAME-map"}), lines = svg("g", {class: "bk-NAME-lines", "aria-hidden": "true"});
  const points = svg("g", {class: "bk-NAME-points", role: "listbox", "aria-label": `The ${data.what}, one point each`});
  const labels = svg("g", {class: "bk-NAME-names", "aria-hidden": "true"});
  map.append(lines, points, labels);
  const dots = texts.map((text, i) => {
    const dot = svg("circle", {role: "option", tabindex: -1, "aria-selected": "false", "data-i": i,
      "aria-label": (titles ? titles[i] + ": " : "") + (text.length > 160 ? text.slice(0, 159) + "…" : text)});
    points.append(dot);
    return dot;
  });
  const words = names.map((name) => { const label = svg("text"); label.textContent = name; labels.append(label); return label; });
  const named = el("p", "bk-NAME-title"), said = el("p", "bk-NAME-text"), nearHead = el("p", "bk-NAME-near-head"), nearList = el("ol", "bk-NAME-near-list");
  said.dir = "auto";
  side.append(named, said, nearHead, nearList);
  const note = el("p", "bkv-note"), keys = el("p", "bkv-note bk-NAME-keys", "On the map the arrow keys move to the next point in that direction. In the search field, Enter walks through what was found.");
  picture.append(map);
  main.append(picture, side);
  box.append(top, bar, main, note, keys, speech.node);
  root.append(box);

  // ---- drawing
  const px = (i) => 18 + (width - 36) * xs[i], py = (i) => 18 + (height - 36) * ys[i];
  const middle = (values) => values.sort((a, b) => a - b)[values.length >> 1];
  function place() {
    for (let i = 0; i < n; i++) { dots[i].setAttribute("cx", px(i).toFixed(1)); dots[i].setAttribute("cy", py(i).toFixed(1)); }
    names.forEach((_, g) => {
      const mine = texts.map((_, i) => i).filter((i) => groups[i] === g);
      words[g].x0 = middle(mine.map(px));
      words[g].y0 = middle(mine.map(py));
    });
    // Names that would touch are pushed apart, the upper one up and the lower one down.
    for (let round = 0; round < 12; round++)
      for (const a of words) for (const b of words) {
        if (a === b || a.y0 > b.y0 || (a.y0 === b.y0 && words.indexOf(a) > words.indexOf(b))) continue;
        const wide = (a.textContent.length + b.textContent.length) * 3.6 + 6, gap = 17 - (b.y0 - a.y0);
        if (Math.abs(a.x0 - b.x0) < wide && gap > 0) { a.y0 -= gap / 2; b.y0 += gap / 2; }
      }
    for (const label of words) {
      const half = label.textContent.length * 3.6;
      label.setAttribute("x", limit(label.x0, half, Math.max(half, width - half)).toFixed(1));
      label.setAttribute("y", limit(label.y0, 10, Math.max(10, height - 10)).toFixed(1));
    }
    link();
  }
  function link() {
    const i = over >= 0 ? over : now.at;
    lines.replaceChildren(...(near ? near[i][0] : []).map((j) =>
      svg("path", {d: `M${px(i).toFixed(1)} ${py(i).toFixed(1)}L${px(j).toFixed(1)} ${py(j).toFixed(1)}`})));
  }
  // The nearest points on the map as it is drawn.
  function neighbours(i, many) {
    const order = [];
    for (let j = 0; j < n; j++) if (j !== i) order.push([(px(j) - px(i)) ** 2 + (py(j) - py(i)) ** 2, j]);
    return order.sort((a, b) => a[0] - b[0]).slice(0, many).map(([, j]) => j);
  }
  const found = (i) => now.query === "" || lower[i].includes(now.query);
  const lit = (i) => found(i) && (now.group < 0 || groups[i] === now.group);
  function mark() {
    const i = over >= 0 ? over : now.at, close = new Set(near ? near[i][0] : []), seeking = now.query !== "" || now.group >= 0;
    dots.forEach((dot, j) => {
      const kind = j === i ? "bk-NAME-now" : close.has(j) ? "bk-NAME-near" : !lit(j) ? "bk-NAME-faded" : now.query !== "" ? "bk-NAME-hit" : "";
      if (dot.kind !== kind) { dot.setAttribute("class", kind); dot.kind = kind; }
      const r = j === i ? 7 : close.has(j) ? 5.2 : seeking && lit(j) ? 4.8 : 3.8;
      if (dot.r0 !== r) { dot.setAttribute("r", r); dot.r0 = r; }
    });
    words.forEach((word, g) => { word.setAttribute("class", now.query !== "" || (now.group >= 0 && now.group !== g) ? "bk-NAME-pale" : ""); });
    const many = texts.reduce((sum, _, j) => sum + lit(j), 0);
    count.textContent = now.query === "" && now.group < 0 ? `${number(n)} ${data.what}` : `${number(many)} of ${number(n)} found`;
    link();
    show(i);
  }
  const number = (value) => String(value).replace(/\B(?=(\d{3})+$)/g, ",");
  function show(i) {
    named.replaceChildren(...(titles ? [el("bdi", null, titles[i])] : []), ...(groups ? [el("span", null, names[groups[i]])] : []));
    named.hidden = !titles && !groups;
    said.textContent = texts[i];
    if (!near) { nearHead.hidden = nearList.hidden = true; return; }
    const [ids, cosines] = near[i], also = new Set(neighbours(i, ids.length));
    const kept = ids.filter((j) => also.has(j)).length;
    nearHead.textContent = ids.length ? `Nearest by cosine in all dimensions; ${kept} of these ${ids.length} are also the nearest on this map:` : "";
    nearList.replaceChildren(...ids.map((j, k) => {
      const line = el("li"), button = el("button", "bkv-link", null, {type: "button", title: texts[j]});
      button.append(el("bdi", null, title(j)));
      button.onclick = () => choose(j, false);
      line.append(el("b", null, (cosines[k] / 100).toFixed(2)), button);
      return line;
    }));
  }

  // ---- what the reader does
  function choose(i, focus) {
    const old = dots[now.at];
    old.setAttribute("aria-selected", "false");
    old.setAttribute("tabindex", -1);
    now.at = i;
    over = -1;
    dots[i].setAttribute("aria-selected", "true");
    dots[i].setAttribute("tabindex", 0);
    if (focus) dots[i].focus({preventScroll: true});
    mark();
  }
  function turn(which) {
    const [name, x, y] = maps[which], from = [Float64Array.from(xs), Float64Array.from(ys)], begun = performance.now();
    now.map = which;
    heading.textContent = name;
    note.textContent = notes[which];
    note.hidden = !notes[which];
    cancelAnimationFrame(frame);
    const step = (time) => {
      const part = still.matches || !width ? 1 : Math.min(1, Math.max(0, time - begun) / 600), eased = part * part * (3 - 2 * part), drawn = performance.now();
      for (let i = 0; i < n; i++) {
        xs[i] = from[0][i] + (x[i] / scale - from[0][i]) * eased;
        ys[i] = from[1][i] + (1 - y[i] / scale - from[1][i]) * eased;
      }
      place();
      host.bookkit.frames.push(performance.now() - drawn);
      if (part < 1) frame = requestAnimationFrame(step); else { mark(); host.bookkit.moving = false; }
    };
    host.bookkit.moving = true;
    host.bookkit.frames = [];
    step(begun);
  }
  function closest(event) {
    const frame = map.getBoundingClientRect(), x = event.clientX - frame.left, y = event.clientY - frame.top;
    let best = -1, least = event.pointerType === "touch" ? 26 ** 2 : 16 ** 2;
    for (let i = 0; i < n; i++) {
      const far = (px(i) - x) ** 2 + (py(i) - y) ** 2 - (lit(i) ? 30 : 0);
      if (far < least) { least = far; best = i; }
    }
    return best;
  }
  const hover = (i) => { if (i !== over) { over = i; mark(); } };
  map.addEventListener("pointermove", (event) => { if (event.pointerType === "mouse") hover(closest(event)); });
  map.addEventListener("pointerleave", () => hover(-1));
  map.addEventListener("click", (event) => { const i = closest(event); if (i >= 0) choose(i, true); });
  // Not on the SVG itself: elements of SVG that listen for focus become stops of the Tab key in Chromium.
  picture.addEventListener("focusin", (event) => { const i = Number(event.target.dataset.i); if (i !== now.at) choose(i, false); });
  picture.addEventListener("keydown", (event) => {
    const way = {ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1]}[event.key];
    let to = {Home: 0, End: n - 1}[event.key] ?? -1;
    if (way) {
      let least = Infinity;
      for (let j = 0; j < n; j++) {
        const dx = px(j) - px(now.at), dy = py(j) - py(now.at), on = dx * way[0] + dy * way[1], off = Math.abs(dx * way[1] + dy * way[0]);
        // Points in a quarter of the plane; those that lie straight ahead come first.
        if (j !== now.at && on > 0 && off <= on && on + 2 * off < least) { least = on + 2 * off; to = j; }
      }
    } else if (to < 0) return;
    event.preventDefault();
    if (to >= 0) choose(to, true);
  });
  function seek() {
    now.query = field.value.trim().toLowerCase();
    mark();
    speech.say(count.textContent);
  }
  field.addEventListener("input", seek);
  field.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && field.value) { field.value = ""; seek(); event.preventDefault(); event.stopPropagation(); }
    if (event.key !== "Enter") return;
    event.preventDefault();
    for (let step = 1; step <= n; step++) {
      const i = (now.at + (event.shiftKey ? n - step : step)) % n;
      if (lit(i)) { choose(i, false); speech.say(`${titles ? titles[i] + ": " : ""}${texts[i]}`); break; }
    }
  });

  host.bookkit = {frames: [], moving: false, now, at: (i) => [px(i), py(i)]};
  function fit() {
    const room = picture.clientWidth;
    if (!room || room === width) return;
    width = room;
    height = Math.round(Math.min(room, 520) * (room > 520 ? .82 : .95));
    map.setAttribute("viewBox", `0 0 ${width} ${height}`);
    place();
    mark();
  }
  turn(0);
  choose(now.at, false);
  new ResizeObserver(fit).observe(picture);
  fit();
}
