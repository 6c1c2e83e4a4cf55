// A training in time-lapse: each token of a passage, shaded by how much it surprised the model at a stage.

// biome-ignore lint/correctness/noUnusedVariables: the fragment calls it
function mount(root, data, host) {
  const {labels, nats, most} = data, last = labels.length - 1;
  const now = {stage: 0, token: nats[0].reduce((best, _, i) => nats[0][i] - nats[last][i] > nats[0][best] - nats[last][best] ? i : best, 0)};
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

  const box = el("div", "bkv");
  box.append(el("p", "bkv-title", data.title));
  const bar = el("label", "bk-NAME-bar"), slider = el("input", null, null, {type: "range", min: 0, max: last, step: 1, "aria-label": "Stage of the training"});
  const stage = el("span"), where = el("b"), how = el("span");
  stage.append(where, ": ", how);
  bar.append(slider, stage);
  const key = el("p", "bkv-note bk-NAME-key", null, {"aria-hidden": "true"});
  key.append("expected", el("i"), `a surprise of ${most.toFixed(0)} nats`);
  const passage = el("div", "bk-NAME-passage", null, {role: "group", "aria-label": "The passage; select a token"});
  const tokens = data.parts.map((parts, i) => {
    const button = el("button", "bk-NAME-token", null, {type: "button"});
    button.append(...face(parts).childNodes);
    button.onclick = () => { now.token = i; draw(); };
    passage.append(button);
    return button;
  });
  const one = el("div", "bk-NAME-one"), name = el("p"), bars = el("ul", "bk-NAME-bars");
  const rows = labels.map((label) => {
    const row = el("li"), track = el("span"), line = el("i"), value = el("small");
    track.append(line);
    row.append(el("span", null, label), track, value);
    bars.append(row);
    return {row, line, value};
  });
  one.append(name, bars);
  const written = el("p", "bk-NAME-written"), quote = el("q"), speech = speaker();
  written.append("At this moment it wrote: ", quote);
  written.hidden = !data.written.some(Boolean);
  box.append(bar, key, passage, one, written, speech.node);
  root.append(box);

  function draw() {
    slider.value = now.stage;
    where.textContent = labels[now.stage];
    how.textContent = `${mean(nats[now.stage]).toFixed(2)} nats a token`;
    slider.setAttribute("aria-valuetext", `${where.textContent}, ${how.textContent}`);
    tokens.forEach((button, i) => {
      const value = nats[now.stage][i];
      button.style.setProperty("--depth", `${(data.deepest * value / most).toFixed(0)}%`);
      button.setAttribute("aria-pressed", String(i === now.token));
      button.setAttribute("aria-label", `${data.names[i]}, ${value.toFixed(1)} nats`);
    });
    name.replaceChildren("The token ", face(data.parts[now.token]), ` had ${odds(nats[now.stage][now.token])}.`);
    rows.forEach(({row, line, value}, i) => {
      const surprise = nats[i][now.token];
      row.classList.toggle("bk-NAME-now", i === now.stage);
      line.style.setProperty("--share", surprise / most);
      value.textContent = `${surprise.toFixed(1)} nats`;
    });
    quote.textContent = data.written[now.stage];
  }
  // A probability in words that stay true for small ones.
  function odds(surprise) {
    const share = Math.exp(-surprise);
    if (share >= 0.01) return `a probability of ${Math.round(share * 100)} %`;
    return `one chance in ${Math.round(1 / share).toLocaleString("en-GB")}`;
  }
  slider.oninput = () => {
    now.stage = Number(slider.value);
    draw();
    speech.say(`${where.textContent}: ${how.textContent}`);
  };
  host.bookkit = {now, draw, mean: (i) => mean(nats[i])};
  draw();
}
