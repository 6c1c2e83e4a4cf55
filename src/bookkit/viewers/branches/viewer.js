// Beam search as a tree: a column for each step, the likeliest text on top, and a slider that unfolds it.

// biome-ignore lint/correctness/noUnusedVariables: the fragment calls it
function mount(root, data, host) {
  const {steps, prompt} = data, last = steps.length - 1;
  const ROW = 46, WIDTH = 100, GAP = 22;  // six steps fit the measure of the page
  const now = {step: data.step, at: [data.step, 0]};
  let timer = 0;

  const node = ([step, i]) => steps[step][i];
  const path = (at) => {
    const found = [];
    for (let [step, i] = at; step >= 0; i = steps[step][i].parent, step--) found.unshift([step, i]);
    return found;
  };
  // What greedy search would write: from each token the likeliest next one, as far as the beams keep it.
  const greedy = [];
  for (let step = 0, parent = -1; step <= last; step++) {
    const children = steps[step].map((one, i) => [one, i]).filter(([one]) => one.parent === parent);
    if (!children.length) break;
    parent = children.reduce((a, b) => b[0].logp > a[0].logp ? b : a)[1];
    greedy.push(String([step, parent]));
  }
  // The best text so far: of the kept ones of this step and of those that have ended before.
  const best = (step) => {
    let found = null;
    for (let s = 0; s <= step; s++)
      steps[s].forEach((one, i) => { if (one.kept && (s === step || one.finished) && (!found || one.total > node(found).total)) found = [s, i]; });
    return found;
  };
  const logs = (value) => (value < 0 ? "−" : "") + Math.abs(value).toFixed(2);
  const odds = (total) => {
    const share = Math.exp(total) * 100;
    return share >= 0.1 ? `${share.toFixed(share < 9.95 ? 1 : 0)} %` : share > 0 ? `1 in ${Number((100 / share).toPrecision(2)).toLocaleString("en")}` : "0 %";
  };

  // ---- the parts
  const box = el("div", "bkv"), top = el("div", "bkv-top"), bar = el("div", "bk-NAME-bar");
  top.append(el("p", "bkv-title", data.title));
  const label = el("label", null, "Step"), slider = el("input", null, null, {type: "range", min: 0, max: last, step: 1, "aria-label": "Steps unfolded"});
  const shown = el("b", null, null, {"aria-hidden": "true"}), play = el("button", "bkv-link", "Unfold", {type: "button"});
  label.append(slider, shown);
  bar.append(label, play);
  const key = el("p", "bkv-note bk-NAME-key", null, {"aria-hidden": "true"});
  for (const [name, words] of [["bk-NAME-best", "the best text so far"], ["bk-NAME-greedy", "what greedy search takes"], ["", "other texts; dashed boxes are dropped"]]) {
    const entry = el("span");
    entry.append(el("i", name), words);
    key.append(entry);
  }
  const scroll = el("div", "bk-NAME-scroll"), tree = el("div", "bk-NAME-tree", null, {role: "listbox", "aria-label": "Texts of beam search, arrow keys move along the tree"});
  const lines = svg("svg", {width: "100%", height: "100%", "aria-hidden": "true"});
  const said = el("p", "bk-NAME-said"), speech = speaker();
  const high = Math.max(...steps.map((all) => all.length)) * ROW;
  tree.style.cssText = `width:${(last + 1) * WIDTH + last * GAP}px;height:${high}px`;
  tree.append(lines);
  scroll.append(tree);
  box.append(top, bar, key, scroll, said, speech.node);
  root.append(box);

  const x = (step) => step * (WIDTH + GAP), y = (i) => i * ROW;
  const nodes = steps.map((all, step) => all.map((one, i) => {
    const line = svg("path");
    if (step) line.setAttribute("d", `M${x(step) - GAP} ${y(one.parent) + 20}C${x(step) - GAP / 2} ${y(one.parent) + 20} ${x(step) - GAP / 2} ${y(i) + 20} ${x(step)} ${y(i) + 20}`);
    line.style.strokeWidth = 1.2 + 4 * Math.exp(one.logp);
    lines.append(line);
    const state = one.finished ? ", ended" : one.kept ? "" : ", dropped";
    const card = el("div", "bk-NAME-node" + (one.kept ? "" : " bk-NAME-dropped") + (greedy.includes(String([step, i])) ? " bk-NAME-greedy" : ""), null, {role: "option", tabindex: -1,
      "aria-label": `step ${step + 1}, ${one.name}, total ${logs(one.total)}${state}`});
    card.style.cssText = `left:${x(step)}px;top:${y(i)}px;width:${WIDTH}px`;
    card.append(face(one.parts), el("small", null, `${logs(one.total)}${state}`));
    card.onclick = () => choose([step, i], true);
    tree.append(card);
    return {card, line};
  }));

  // ---- drawing
  function draw() {
    const winner = best(now.step), way = new Set(path(winner).map(String));
    for (const [step, all] of nodes.entries()) for (const [i, {card, line}] of all.entries()) {
      const id = String([step, i]);
      card.hidden = step > now.step;
      card.classList.toggle("bk-NAME-best", way.has(id));
      card.setAttribute("aria-selected", String(id === String(now.at)));
      card.tabIndex = id === String(now.at) ? 0 : -1;
      line.setAttribute("class", [step > now.step ? "bk-NAME-later" : "", greedy.includes(id) ? "bk-NAME-greedy" : "", way.has(id) ? "bk-NAME-best" : ""].join(" ").trim());
    }
    slider.value = now.step;
    slider.setAttribute("aria-valuetext", `step ${now.step + 1} of ${last + 1}`);
    shown.textContent = `${now.step + 1} of ${last + 1}`;
    const one = node(now.at), way_ = path(now.at), text = el("span", "bk-NAME-text", null, {dir: "auto"});
    text.append(el("span", null, prompt), ...way_.map((at) => face(node(at).parts)));
    const sum = way_.map((at) => logs(node(at).logp)).join(" + ").replace(/\+ −/g, "− ");
    const fate = one.finished ? "It has ended." : one.kept ? "It is kept." : "It is dropped.";
    const rank = `${now.at[1] + 1} of ${steps[now.at[0]].length} in step ${now.at[0] + 1}`;
    said.replaceChildren(text, "Log-probability ", el("b", null, logs(one.total)), way_.length > 1 ? ` = ${sum}` : "", `, which is ${odds(one.total)}; ${rank}. ${fate}`,
      String(now.at) === greedy.at(-1) && !one.kept ? " Greedy search would have gone on from here." : "");
  }
  function choose(at, focus = false) {
    now.at = at;
    draw();
    const {card} = nodes[at[0]][at[1]];
    if (focus) card.focus({preventScroll: true});
    reveal();
  }
  function reveal() {
    const left = nodes[now.at[0]][now.at[1]].card.offsetLeft, right = left + WIDTH;
    if (left < scroll.scrollLeft || right > scroll.scrollLeft + scroll.clientWidth) scroll.scrollLeft = right - scroll.clientWidth + 12;
  }
  function unfold(step) {
    now.step = step;
    choose(best(step));
    speech.say(`Step ${step + 1}: ${said.textContent}`);
  }
  slider.oninput = () => { stop(); unfold(Number(slider.value)); };
  const stop = () => { clearInterval(timer); timer = 0; play.textContent = "Unfold"; };
  play.onclick = () => {
    if (timer) return stop();
    unfold(now.step === last ? 0 : now.step);
    // Who wants no motion gets one step for each press.
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return unfold(Math.min(last, now.step + 1));
    play.textContent = "Stop";
    timer = setInterval(() => { if (now.step === last) stop(); else unfold(now.step + 1); }, 1100);
  };
  tree.addEventListener("keydown", (event) => {
    const [step, i] = now.at, one = node(now.at);
    const child = step < now.step ? steps[step + 1].findIndex(({parent}) => parent === i) : -1;
    const to = {ArrowDown: [step, i + 1], ArrowUp: [step, i - 1], ArrowLeft: [step - 1, one.parent], ArrowRight: [step + 1, child],
      Home: [0, 0], End: [now.step, 0]}[event.key];
    if (!to) return;
    event.preventDefault();
    if (to[0] >= 0 && to[1] >= 0 && to[1] < steps[to[0]]?.length) choose(to, true);
  });

  host.bookkit = {unfold, choose, best, greedy, now};
  unfold(data.step);
  // The page may still be laid out: what was chosen stays in sight when its width changes.
  new ResizeObserver(reveal).observe(scroll);
}
