// The next token: the model's own logits, and what temperature, top-k, top-p and min-p make of them.

const RULES = ["top-k", "top-p", "min-p"];
const BIN = 0.05;  // as wide as in next_token.py

// Groups of tokens of one logit each, {logit, count}, the likeliest first: every token that the page knows by name
// is a group of one, the rest of the vocabulary comes in bins. Returns what each token of a group gets, how many
// tokens of it are kept and the rule that cuts the others. The order is that of generate: temperature first.
function warp(groups, {temperature, topK, topP, minP}) {
  const size = groups.length, scores = groups.map(({logit}) => logit / temperature);
  const masses = scores.map((score) => Math.exp(score - scores[0]));
  const kept = groups.map(({count}) => count), cutBy = new Array(size).fill(""), cut = {"top-k": 0, "top-p": 0, "min-p": 0};
  const keep = (i, count, rule) => {
    if (count >= kept[i]) return;
    cut[rule] += kept[i] - count;
    kept[i] = count;
    cutBy[i] = rule;
  };
  const total = () => masses.reduce((sum, mass, i) => sum + mass * kept[i], 0);
  if (topK > 0) {
    // Tokens as likely as the k-th one stay too.
    let seen = 0, last = -Infinity;
    for (let i = 0; i < size; i++) {
      const count = groups[i].count;
      if (seen >= topK && scores[i] < last) keep(i, 0, "top-k");
      else if (seen + count > topK && count > 1) keep(i, topK - seen, "top-k");
      if (seen < topK) last = scores[i];
      seen += count;
    }
  }
  if (topP < 1) {
    // A token stays as long as those before it do not hold p together; the likeliest stays always.
    const all = total();
    let before = 0;
    for (let i = 0; i < size; i++) {
      const share = masses[i] / all, had = kept[i];
      const room = before < topP ? Math.ceil((topP - before) / share - 1e-9) : 0;
      if (had) keep(i, Math.max(Math.min(had, room), i === 0 ? 1 : 0), "top-p");
      before += share * had;
    }
  }
  if (minP > 0) {
    // A bin that the threshold divides keeps its share of tokens above it.
    const least = groups[0].logit + temperature * Math.log(minP);
    groups.forEach(({logit, count, top}, i) => {
      if (i > 0 && count > 1) keep(i, Math.round(count * limit((top - least) / BIN, 0, 1)), "min-p");
      else if (i > 0 && logit < least) keep(i, 0, "min-p");
    });
  }
  const all = total(), shares = masses.map((mass, i) => kept[i] ? mass / all : 0);
  const entropy = shares.reduce((sum, share, i) => share > 0 ? sum - kept[i] * share * Math.log2(share) : sum, 0);
  return {shares, kept, cutBy, cut, entropy, count: kept.reduce((sum, n) => sum + n, 0)};
}

// biome-ignore lint/correctness/noUnusedVariables: the fragment calls it
function mount(root, data, host) {
  const OWN = {temperature: 1, topK: 0, topP: 1, minP: 0};
  const setting = {...data.setting};
  let picker, position, groups, named, before, after, rows = [], most = 20, drawn = -1, draws = [];

  const small = (share) => share <= 0 ? "" : share < 0.0005 ? "<0.1 %" : share < 0.0995 ? `${(share * 100).toFixed(1)} %` : `${Math.round(share * 100)} %`;
  const count = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, ",");

  // ---- the parts
  const box = el("div", "bkv"), top = el("div", "bkv-top");
  top.append(el("p", "bkv-title", data.title));
  if (data.positions.length > 1) {
    const pick = el("select", "bk-NAME-pick", null, {"aria-label": "Text so far"});
    data.positions.forEach(({context}, i) => {
      const text = context.replace(/\s+/g, " ");
      pick.append(el("option", null, text.length > 60 ? "… " + text.slice(-58) : text, {value: i}));
    });
    pick.onchange = () => open(Number(pick.value));
    picker = pick;
    top.append(pick);
  }
  const text = el("p", "bk-NAME-text", null, {dir: "auto"}), context = el("span"), blank = el("span", "bk-NAME-blank");
  text.append(context, blank);

  const knobs = el("div", "bk-NAME-knobs", null, {role: "group", "aria-label": "How to choose"}), controls = {};
  const steps = (from, to, by) => Array.from({length: Math.round((to - from) / by) + 1}, (_, i) => Math.round((from + i * by) * 1000) / 1000);
  const scales = {
    temperature: ["temperature", steps(.1, 2, .05), (value) => value.toFixed(2)],
    topK: ["top-k", [1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 40, 50, 75, 100, 150, 200, 250, 0], (value) => value ? String(value) : "off"],
    topP: ["top-p", steps(.05, 1, .01), (value) => value < 1 ? value.toFixed(2) : "off"],
    minP: ["min-p", steps(0, .5, .01), (value) => value ? value.toFixed(2) : "off"],
  };
  for (const key in scales) {
    const [name, known, write] = scales[key];
    const values = known.includes(setting[key]) ? known : [...known, setting[key]].sort((a, b) => (a || Infinity) - (b || Infinity));
    if (key === "minP") values.sort((a, b) => a - b);
    const knob = el("label", "bk-NAME-knob", name), output = el("b", null, null, {"aria-hidden": "true"});
    const slider = el("input", null, null, {type: "range", min: 0, max: values.length - 1, step: 1, "aria-label": name});
    slider.oninput = () => { setting[key] = values[slider.value]; draw(); };
    controls[key] = () => {
      slider.value = values.indexOf(setting[key]);
      output.textContent = write(setting[key]);
      slider.setAttribute("aria-valuetext", write(setting[key]));
    };
    knob.append(output, slider);
    knobs.append(knob);
  }
  const said = el("p", "bk-NAME-said"), speech = speaker();
  const key = el("p", "bkv-note bk-NAME-key", null, {"aria-hidden": "true"});
  for (const [name, words] of [["", "the model's own probability"], ["bk-NAME-now", "after the settings above"]]) {
    const entry = el("span");
    entry.append(el("i", name), words);
    key.append(entry);
  }
  const bars = el("ol", "bk-NAME-bars", null, {"aria-label": "Next tokens, the likeliest first"});
  const more = el("button", "bkv-link", "Show more tokens", {type: "button"});
  more.onclick = () => { most = Math.min(named, most + 60); draw(); };
  const others = {row: el("li", "bk-NAME-row bk-NAME-others"), words: el("span"), share: el("small")};
  others.row.append(el("span", null, "all others"), others.words, others.share);
  const button = el("button", "bk-NAME-button", "Draw a token", {type: "button"});
  const reset = el("button", "bkv-link", "Back to the model's own", {type: "button"});
  const drawsText = el("p", "bk-NAME-draws", null, {"aria-live": "polite"}), foot = el("div", "bk-NAME-foot");
  foot.append(button, drawsText, reset);
  box.append(top, text, knobs, said, key, bars, more, foot, el("p", "bkv-note", data.note), speech.node);
  root.append(box);

  // ---- drawing
  // Which tokens have a row: the likeliest ones, and where the last kept and the first cut ones are further
  // down, those as well. null stands for a gap.
  function chosen() {
    const range = (from, to) => Array.from({length: Math.max(0, to - from)}, (_, i) => from + i);
    const edge = after.kept.slice(0, named).filter((n) => n > 0).length, head = Math.min(named, most);
    if (edge <= head - 3 || edge === named || head === named) return range(0, head);
    const first = head - 6, from = Math.max(first, edge - 3);
    return [...range(0, first), ...(from > first ? [null] : []), ...range(from, Math.min(named, from + 6))];
  }
  function newRow() {
    const row = el("li", "bk-NAME-row"), track = el("div", "bk-NAME-track"), why = el("span"), share = el("small");
    track.append(el("i", "bk-NAME-before"), el("i", "bk-NAME-after"), why);
    row.append(el("span"), track, share);
    return {row, track, why, share, of: undefined};
  }
  function draw() {
    const began = performance.now();
    for (const key in controls) controls[key]();
    after = warp(groups, setting);
    const scale = Math.max(before.shares[0], after.shares[0]), list = chosen();
    while (rows.length < list.length) rows.push(newRow());
    rows.length = list.length;
    list.forEach((i, at) => {
      const {row, track, why, share} = rows[at], gap = i === null;
      if (rows[at].of !== i) row.firstChild.replaceWith(gap ? el("span", "bk-NAME-others", "…") : face(position.tokens[i].parts));
      rows[at].of = i;
      row.className = "bk-NAME-row" + (gap || after.kept[i] ? "" : " bk-NAME-cut") + (i === drawn && !gap ? " bk-NAME-drawn" : "");
      track.style.setProperty("--before", gap ? 0 : before.shares[i] / scale * .82);
      track.style.setProperty("--after", gap ? 0 : after.shares[i] / scale * .82);
      why.textContent = gap ? `${count(list[at + 1] - list[at - 1] - 1)} more in between` : after.kept[i] ? "" : `cut by ${after.cutBy[i]}`;
      share.textContent = gap ? "" : small(after.shares[i]);
    });
    const seen = new Set(list), rest = groups.map((_, i) => i).filter((i) => !seen.has(i));
    const sum = (value) => rest.reduce((total, i) => total + value(i), 0);
    const left = sum((i) => after.kept[i]), all = sum((i) => groups[i].count);
    others.words.textContent = left === all ? `${count(all)} tokens` : left ? `${count(left)} kept, ${count(all - left)} cut` : `${count(all)} tokens, all cut`;
    others.share.textContent = small(sum((i) => after.kept[i] * after.shares[i]));
    if (bars.childElementCount !== rows.length + 1) bars.replaceChildren(...rows.map(({row}) => row), others.row);
    more.hidden = list.length >= named;
    tell();
    host.bookkit.took = performance.now() - began;
  }
  function tell() {
    const held = groups.reduce((sum, _, i) => sum + after.kept[i] * before.shares[i], 0);
    const cuts = RULES.filter((rule) => after.cut[rule]).flatMap((rule, i) => [i ? ", " : "", el("span", "bk-NAME-keep", `${count(after.cut[rule])} by ${rule}`)]);
    const strong = (words) => el("b", null, words);
    const near = (bits) => `as unsure as a choice among ${(2 ** bits).toFixed(bits < 6.64 ? 1 : 0)} equally likely tokens`;
    said.replaceChildren(...(cuts.length
      ? [strong(`${count(after.count)} of ${count(before.count)} tokens`), ` stay${after.count === 1 ? "s" : ""}; the model gave ${after.count === 1 ? "it" : "them"} ${small(held)} of the probability. Cut: `, ...cuts, ". "]
      : [strong(`All ${count(before.count)} tokens`), " stay. "]),
    "Entropy: ", strong(`${after.entropy.toFixed(2)} bits`), after.entropy.toFixed(2) === before.entropy.toFixed(2) ? "" : ` (before: ${before.entropy.toFixed(2)})`,
    `, ${near(after.entropy)}.`);
    speech.say(said.textContent);
  }

  // ---- drawing lots
  function sample(u = Math.random()) {
    for (let i = 0; i < groups.length; i++) {
      u -= after.kept[i] * after.shares[i];
      if (u < 0) return i;
    }
    return after.kept.findLastIndex((n) => n > 0);
  }
  function show(i) {
    drawn = i;
    draws = [i, ...draws].slice(0, 12);
    const rare = () => el("span", "bkv-note", "one of the rare tokens ");
    blank.replaceChildren(i < named ? face(position.tokens[i].parts) : "…");
    drawsText.replaceChildren(...draws.map((at) => at < named ? face(position.tokens[at].parts) : rare()));
    draw();
  }
  button.onclick = () => show(sample());
  reset.onclick = () => { Object.assign(setting, OWN); draw(); };

  function open(i) {
    position = data.positions[i];
    if (picker) picker.value = i;
    rows = [];
    bars.replaceChildren();
    named = position.tokens.length;
    groups = [...position.tokens.map(({logit}) => ({logit, count: 1})), ...position.rest.map(([logit, count]) => ({logit, count, top: (Math.floor(logit / BIN) + 1) * BIN}))];
    before = warp(groups, OWN);
    context.textContent = position.context;
    drawn = -1;
    draws = [];
    drawsText.replaceChildren(el("span", "bkv-note", "Each press draws with the green probabilities."));
    blank.replaceChildren("?");
    draw();
  }

  host.bookkit = {
    open, sample,
    // What tests compare: the whole outcome at some setting, and as many draws as wanted.
    at(values) { Object.assign(setting, values); draw(); return after; },
  };
  open(0);
}
