// A conversation as a chat model reads it: tokens in the colours of who put them there; one is selected.

// biome-ignore lint/correctness/noUnusedVariables: the fragment calls it
function mount(root, data, host) {
  const {parts, names, kinds, ids, shares, others, words, counts} = data;
  const first = kinds.lastIndexOf("assistant") < 0 ? 0 : kinds.indexOf("assistant");
  const now = {token: first};

  const box = el("div", "bkv");
  box.append(el("p", "bkv-title", data.title));
  const key = el("p", "bkv-note bk-NAME-key");
  for (const kind of data.order) {
    if (!counts[kind]) continue;
    const item = el("span");
    item.append(el("i", `bk-NAME-${kind}`, null, {"aria-hidden": "true"}), `${words[kind]}: ${counts[kind]} tokens`);
    key.append(item);
  }
  const text = el("div", "bk-NAME-text", null, {role: "group", "aria-label": "The conversation; select a token"});
  const buttons = parts.map((part, i) => {
    const button = el("button", `bk-NAME-token bk-NAME-${kinds[i]}`, null, {type: "button"});
    button.append(...face(part).childNodes);
    button.onclick = () => go(i);
    button.onkeydown = (event) => {
      const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
      if (!step) return;
      event.preventDefault();
      go(limit(i + step, 0, parts.length - 1));
      buttons[now.token].focus();
    };
    text.append(button);
    if (data.ends[i]) text.append(el("br"));
    return button;
  });
  const one = el("div", "bk-NAME-one"), told = el("p"), bars = el("ul", "bk-NAME-bars"), step = el("div", "bk-NAME-step");
  const back = el("button", "bkv-link", "one token back", {type: "button"}), on = el("button", "bkv-link", "one token on", {type: "button"});
  const speech = speaker();
  back.onclick = () => go(Math.max(0, now.token - 1));
  on.onclick = () => go(Math.min(parts.length - 1, now.token + 1));
  step.append(back, on);
  one.append(told, bars);
  box.append(key, text, step, one, speech.node);
  root.append(box);

  function row(part, share, here) {
    const line = el("li", here ? "bk-NAME-here" : null), track = el("span"), bar = el("i");
    bar.style.setProperty("--share", share);
    track.append(bar);
    line.append(face(part), track, el("small", null, percent(share) || "0 %"));
    return line;
  }
  function draw() {
    const i = now.token, share = shares[i];
    buttons.forEach((button, j) => {
      button.setAttribute("aria-pressed", String(j === i));
      button.setAttribute("aria-label", `${names[j]}, by ${words[kinds[j]]}`);
      button.classList.toggle("bk-NAME-later", j > i);
    });
    back.disabled = i === 0;
    on.disabled = i === parts.length - 1;
    const by = `Token ${i + 1} of ${parts.length}, id ${ids[i]}, put there by ${words[kinds[i]]}. `;
    const from = share === null ? "Nothing stands before it." : `Its probability was computed from the ${i} ${i === 1 ? "token" : "tokens"} before it; what follows is dotted, and unknown to the model.`;
    told.textContent = by + from;
    bars.replaceChildren();
    const same = (part) => JSON.stringify(part) === JSON.stringify(parts[i]);
    if (share !== null && !others[i].some(([part]) => same(part))) bars.append(row(parts[i], share, true));
    for (const [part, value] of others[i]) bars.append(row(part, value, same(part)));
  }
  function go(i) {
    now.token = i;
    draw();
    speech.say(told.textContent);
  }
  host.bookkit = {now, go, share: () => shares[now.token]};
  draw();
}
