// The trajectory: what the sampler holds and what the network expects, step by step, and the scores along the way.

// biome-ignore lint/correctness/noUnusedVariables: the fragment calls it
function mount(root, data, host) {
  const {steps, side, settings, names} = data, now = {step: 0, dial: [0, 0]};
  const rows = data.rows.map((text) => { const image = new Image(); image.src = `data:image/webp;base64,${text}`; return image; });
  const ready = Promise.all(rows.map((image) => image.decode().then(draw, () => {})));
  const run = () => now.dial[0] * settings[1].length + now.dial[1];

  const box = el("div", "bkv bk-NAME"), top = el("div", "bkv-top"), speech = speaker();
  top.append(el("p", "bkv-title", data.prompt));
  const dials = el("div", "bk-NAME-dials");
  settings.forEach((options, place) => {
    if (options.length < 2) return;
    const line = el("div", "bk-NAME-dial");
    line.append(el("span", "bk-NAME-name", data.dials[place]), choices(data.dials[place], options.map((name, i) => [String(i), name]), "0", (key) => { now.dial[place] = Number(key); draw(); tell(); }));
    dials.append(line);
  });
  const play = player(host, steps, (step) => `step ${step} of ${steps}`, (step) => { now.step = step; draw(); }, tell);

  const pictures = el("div", "bk-NAME-pictures"), canvases = ["what the sampler holds", "what the network expects"].map((words) => {
    const figure = el("figure", "bk-NAME-figure"), canvas = el("canvas", "bk-NAME-canvas", null, {width: side, height: side, "aria-hidden": "true"});
    figure.append(canvas, el("figcaption", "bk-NAME-caption", words));
    pictures.append(figure);
    return canvas;
  });

  // The scores: one line each, a mark that moves along, and their values in words.
  const W = 340, H = 150, cx = (step) => 4 + (W - 8) * (steps ? step / steps : 0), cy = (share) => H - 8 - (H - 16) * share;
  const scores = el("div", "bk-NAME-scores"), chart = svg("svg", {class: "bk-NAME-chart", viewBox: `0 0 ${W} ${H}`, "aria-hidden": "true"});
  const mark = svg("path", {class: "bk-NAME-mark"}), lines = names.map((_, i) => svg("path", {class: `bk-NAME-line bk-NAME-${i % 3}`}));
  chart.append(svg("path", {class: "bk-NAME-axis", d: `M4 ${cy(0)}H${W - 4}M4 ${cy(1)}H${W - 4}`}), mark, ...lines);
  const values = names.map((_, i) => el("li", `bk-NAME-value bk-NAME-${i % 3}`)), list = el("ul", "bk-NAME-list");
  list.append(...values);
  scores.append(el("p", "bk-NAME-caption", "What the judge finds in the expected picture"), chart, list);
  scores.hidden = !names.length;

  const main = el("div", "bk-NAME-main");
  main.append(pictures, scores);
  top.append(dials);
  box.append(top, play.node, main, speech.node);
  root.append(box);

  function draw() {
    const step = Math.round(now.step);
    canvases.forEach((canvas, row) => {
      const pen = canvas.getContext("2d"), image = rows[2 * run() + row];
      pen.clearRect(0, 0, side, side);
      if (image.complete && image.naturalWidth) pen.drawImage(image, step * side, 0, side, side, 0, 0, side, side);
    });
    data.scores[run()].forEach((shares, i) => {
      lines[i].setAttribute("d", shares.map((share, s) => `${s ? "L" : "M"}${cx(s).toFixed(1)} ${cy(share).toFixed(1)}`).join(""));
      values[i].textContent = `${names[i]}: ${percent(shares[step]) || "0 %"}`;
    });
    mark.setAttribute("d", `M${cx(now.step).toFixed(1)} 2V${H - 2}`);
  }
  function tell() { speech.say(`Step ${Math.round(now.step)} of ${steps}. ${values.map((value) => value.textContent).join(", ")}`); }

  host.bookkit = {now, ready, go: play.go, pixel: (row, x, y) => [...canvases[row].getContext("2d").getImageData(x, y, 1, 1).data]};
  play.put(0);
}
