// The flow: points that move from noise to data; one of them is followed.

// biome-ignore lint/correctness/noUnusedVariables: the fragment calls it
function mount(root, data, host) {
  const {steps, many, scale, reach, noise} = data, last = steps - 1, SIDE = 440;
  const unpack = (text) => new Uint16Array(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
  const codes = unpack(data.blob), places = unpack(data.places), arrows = unpack(data.arrows);
  const runs = data.names.length, cells = places.length / 2 - data.rows;
  const now = {run: 0, step: 0, point: data.chosen};
  // Coordinates in the picture; kind 0 is where a point stands, 1 where the network thinks it came from.
  const px = (code) => SIDE * code / scale, py = (code) => SIDE * (1 - code / scale);
  const place = (kind, step, i) => {
    const low = Math.floor(step), high = Math.min(last, low + 1), part = step - low, at = (s) => 2 * (((kind * runs + now.run) * steps + s) * many + i);
    const a = at(low), b = at(high);
    return [px(codes[a] + (codes[b] - codes[a]) * part), py(codes[a + 1] + (codes[b + 1] - codes[a + 1]) * part)];
  };
  const number = ([x, y]) => `(${((2 * x / SIDE - 1) * reach).toFixed(2)}, ${((1 - 2 * y / SIDE) * reach).toFixed(2)})`.replaceAll("-", "−");

  const box = el("div", "bkv bk-NAME bk-NAME-live"), top = el("div", "bkv-top"), note = el("p", "bkv-note");
  top.append(el("p", "bkv-title", data.title));
  if (runs > 1) top.append(choices("Run", data.names.map((name, i) => [String(i), name]), "0", (key) => { now.run = Number(key); draw(); tell(); }));
  const play = player(host, last, words, (step) => { now.step = step; draw(); }, tell);

  const main = el("div", "bk-NAME-main"), picture = el("div", "bk-NAME-picture"), side = el("div", "bk-NAME-side");
  const map = svg("svg", {class: "bk-NAME-map", viewBox: `0 0 ${SIDE} ${SIDE}`, "aria-hidden": "true"});
  for (let i = 0; i < data.rows; i++) map.append(svg("circle", {class: "bk-NAME-data", cx: px(places[2 * i]).toFixed(1), cy: py(places[2 * i + 1]).toFixed(1), r: 1.6}));
  const field = svg("path", {class: "bk-NAME-field"}), trail = svg("path", {class: "bk-NAME-trail"}), line = svg("path", {class: "bk-NAME-line"});
  const dots = Array.from({length: many}, () => svg("circle", {r: 3}));
  const guess = svg("circle", {class: "bk-NAME-guess", r: 5.5});
  map.append(field, trail, ...dots, line, guess);
  picture.append(map);

  // The small chart: how far from the data, step by step.
  const W = 260, H = 120, most = Math.max(0.001, ...data.near.flat(), ...data.far.flat());
  const cx = (step) => 4 + (W - 8) * (last ? step / last : 0), cy = (value) => H - 6 - (H - 14) * value / most;
  const chart = svg("svg", {class: "bk-NAME-chart", viewBox: `0 0 ${W} ${H}`, "aria-hidden": "true"});
  const near = svg("path", {class: "bk-NAME-near"}), far = svg("path", {class: "bk-NAME-far"}), mark = svg("path", {class: "bk-NAME-mark"});
  chart.append(svg("path", {class: "bk-NAME-axis", d: `M4 ${cy(0)}H${W - 4}`}), mark, far, near);
  const caption = el("p", "bk-NAME-caption", "Mean distance to the data");
  const one = el("p", "bk-NAME-near-value"), two = el("p", "bk-NAME-far-value");
  const follow = el("label", "bk-NAME-follow", "Follow a point"), pick = el("input", null, null, {type: "range", min: 1, max: many, step: 1, "aria-label": "Point"});
  follow.append(pick);
  const said = el("p", "bk-NAME-said"), speech = speaker();
  side.append(caption, chart, one, two, follow, said);
  main.append(picture, side);
  box.append(top, play.node, main, note, speech.node);
  root.append(box);

  function draw() {
    const whole = Math.round(now.step), share = noise[whole];
    dots.forEach((dot, i) => {
      const [x, y] = place(0, now.step, i);
      dot.setAttribute("cx", x.toFixed(1));
      dot.setAttribute("cy", y.toFixed(1));
      dot.setAttribute("class", i === now.point ? "bk-NAME-now" : "bk-NAME-dot");
      dot.setAttribute("r", i === now.point ? 5 : 3);
    });
    box.style.setProperty("--done", `${Math.round(100 * (1 - share))}%`);
    const path = (kind, from, to) => { let d = ""; for (let s = from; s <= to; s++) { const [x, y] = place(kind, s, now.point); d += `${d ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`; } return d; };
    const here = place(0, now.step, now.point), there = place(1, now.step, now.point);
    trail.setAttribute("d", path(0, 0, Math.floor(now.step)) + `L${here.map((v) => v.toFixed(1)).join(" ")}`);
    line.setAttribute("d", `M${here.map((v) => v.toFixed(1)).join(" ")}L${there.map((v) => v.toFixed(1)).join(" ")}`);
    guess.setAttribute("cx", there[0].toFixed(1));
    guess.setAttribute("cy", there[1].toFixed(1));
    let d = "";
    for (let c = 0; c < cells; c++) {
      const x = px(places[2 * (data.rows + c)]), y = py(places[2 * (data.rows + c) + 1]), a = 2 * (whole * cells + c);
      const dx = px(arrows[a]) - SIDE / 2, dy = py(arrows[a + 1]) - SIDE / 2, long = Math.hypot(dx, dy);
      if (long < 1.2) continue;
      const tip = [x + dx, y + dy], u = dx / long, v = dy / long, h = Math.min(4, long / 2);
      d += `M${x.toFixed(1)} ${y.toFixed(1)}L${tip[0].toFixed(1)} ${tip[1].toFixed(1)}`
        + `m${(-h * u + h * v * .6).toFixed(1)} ${(-h * v - h * u * .6).toFixed(1)}L${tip[0].toFixed(1)} ${tip[1].toFixed(1)}L${(tip[0] - h * u - h * v * .6).toFixed(1)} ${(tip[1] - h * v + h * u * .6).toFixed(1)}`;
    }
    field.setAttribute("d", d);
    const curve = (values) => values.map((value, s) => `${s ? "L" : "M"}${cx(s).toFixed(1)} ${cy(value).toFixed(1)}`).join("");
    near.setAttribute("d", curve(data.near[now.run]));
    far.setAttribute("d", curve(data.far[now.run]));
    mark.setAttribute("d", `M${cx(now.step).toFixed(1)} 4V${H - 6}`);
    one.textContent = `the points: ${data.near[now.run][whole].toFixed(2)}`;
    two.textContent = `the network's guesses: ${data.far[now.run][whole].toFixed(2)}`;
    pick.value = now.point + 1;
    pick.setAttribute("aria-valuetext", `point ${now.point + 1} of ${many}`);
    said.textContent = `Point ${now.point + 1} stands at ${number(place(0, whole, now.point))}. The network believes that it came from ${number(place(1, whole, now.point))}.`;
    note.textContent = data.notes[now.run];
    note.hidden = !data.notes[now.run];
  }
  function words(step) { return `step ${step} of ${last}, noise ${Math.round(100 * noise[step])} %`; }
  function tell() { const step = Math.round(now.step); speech.say(`${words(step)}. Mean distance to the data ${data.near[now.run][step].toFixed(2)}.`); }

  pick.oninput = () => { now.point = Number(pick.value) - 1; draw(); speech.say(said.textContent); };
  map.addEventListener("click", (event) => {
    const seen = map.getBoundingClientRect(), x = (event.clientX - seen.left) * SIDE / seen.width, y = (event.clientY - seen.top) * SIDE / seen.height;
    let best = now.point, least = 20 ** 2;
    for (let i = 0; i < many; i++) {
      const [a, b] = place(0, now.step, i), apart = (a - x) ** 2 + (b - y) ** 2;
      if (apart < least) { least = apart; best = i; }
    }
    now.point = best;
    draw();
    speech.say(said.textContent);
  });
  host.bookkit = {now, draw, go: play.go, at: (i) => place(0, now.step, i), near: (run, step) => data.near[run][step]};
  play.put(0);
}
