// Retrieval: one question, a ranked list for each method, and the passage that the reader opens.

// biome-ignore lint/correctness/noUnusedVariables: the fragment calls it
function mount(root, data, host) {
  const {methods, passages, questions} = data;
  const now = {question: 0, passage: 0, method: 0};
  const box = el("div", "bkv bk-NAME"), bar = el("div", "bk-NAME-bar"), label = el("label", "bk-NAME-question", "Question");
  const select = el("select"), columns = el("div", "bk-NAME-columns"), open = el("div", "bk-NAME-open"), speech = speaker();
  questions.forEach((question, i) => { select.append(el("option", null, question.text, {value: i})); });
  const turns = [["Previous question", "‹", -1], ["Next question", "›", 1]].map(([name, sign, step]) => {
    const button = el("button", "bk-NAME-turn", sign, {type: "button", "aria-label": name});
    button.onclick = () => ask((now.question + step + questions.length) % questions.length);
    return button;
  });
  label.append(select);
  bar.append(label, ...turns);
  const asked = el("p", "bk-NAME-asked"), state = el("p", "bkv-note");
  asked.dir = "auto";
  const tabs = choices("Method", methods.map((name, i) => [String(i), name]), "0", (key) => { now.method = Number(key); lists(); });
  tabs.classList.add("bk-NAME-tabs");
  box.append(bar, asked, state, tabs, columns, open, speech.node);
  root.append(box);

  const rank = (method, passage) => questions[now.question].found[method].findIndex(([which]) => which === passage);
  const gold = (passage) => questions[now.question].gold.includes(passage);
  const digits = (score) => Math.abs(score) >= 100 ? score.toFixed(0) : Math.abs(score) >= 10 ? score.toFixed(1) : score.toFixed(3);

  function lists() {
    columns.replaceChildren(...methods.map((name, m) => {
      const column = el("div", "bk-NAME-column" + (m === now.method ? " bk-NAME-front" : "")), list = el("ol");
      const hits = questions[now.question].found[m], scores = hits.map(([, score]) => score);
      const low = Math.min(0, ...scores), span = Math.max(...scores) - low || 1;
      for (const [which, score] of hits) {
        const line = el("li"), button = el("button", "bk-NAME-hit", null, {type: "button", "aria-pressed": String(which === now.passage)});
        const title = el("span", "bk-NAME-title"), bare = el("span", "bk-NAME-bar-of", null, {"aria-hidden": "true"}), fill = el("span");
        title.append(el("bdi", null, passages[which][0]));
        if (gold(which)) title.append(el("span", "bk-NAME-gold", " ✓"), el("span", "bkv-sr", " (holds the answer)"));
        fill.style.inlineSize = `${(100 * (score - low) / span).toFixed(0)}%`;
        bare.append(fill);
        button.append(title, el("span", "bk-NAME-score", digits(score)), bare);
        button.onclick = () => choose(which, m);
        line.append(button);
        list.append(line);
      }
      column.append(el("p", "bk-NAME-method", name), list);
      return column;
    }));
  }

  // The text with the question's words marked; only whole words count, in whatever case. A long passage
  // scrolls, so the keyboard must be able to reach it.
  function marked(text, terms) {
    const node = el("div", "bk-NAME-text", null, {tabindex: 0, role: "region", "aria-label": "Text of the passage"}), wanted = new Set(terms.map((term) => term.toLowerCase()));
    node.dir = "auto";
    let plain = "";
    const put = () => { if (plain) node.append(plain); plain = ""; };
    for (const part of text.split(/([\p{L}\p{N}]+)/u))
      if (wanted.has(part.toLowerCase())) { put(); node.append(el("mark", null, part)); } else plain += part;
    put();
    return node;
  }
  function show() {
    const [title, text, link] = passages[now.passage], head = el("p", "bk-NAME-head");
    if (link) { const anchor = el("a", null, title, {href: link}); head.append(anchor); } else head.append(el("bdi", null, title));
    const places = methods.map((name, m) => { const place = rank(m, now.passage); return `${name}: ${place < 0 ? "not among the first " + questions[now.question].found[m].length : "place " + (place + 1)}`; });
    open.replaceChildren(head, marked(text, questions[now.question].terms), el("p", "bkv-note", `${places.join("; ")}.${gold(now.passage) ? " It holds the answer." : ""}`));
  }
  function choose(passage, method) {
    now.passage = passage;
    // Pressed where it is listed, in every column; the lists stay, so that the focus does.
    for (const [m, list] of columns.querySelectorAll("ol").entries())
      for (const [i, button] of list.querySelectorAll("button").entries())
        button.setAttribute("aria-pressed", String(questions[now.question].found[m][i][0] === passage));
    show();
    if (method !== undefined) speech.say(open.lastChild.textContent);
  }
  function ask(i, told = true) {
    now.question = i;
    const {text, gold: right, missed, found} = questions[i];
    select.value = i;
    asked.textContent = text;
    const best = methods.map((name, m) => [name, found[m].findIndex(([which]) => right.includes(which))]);
    state.textContent = right.length + missed === 0 ? "The book does not answer this question: everything that is found is beside the point."
      : best.map(([name, place]) => place < 0 ? `${name} misses the answer` : `${name} has it in place ${place + 1}`).join("; ") + ".";
    now.passage = found[now.method][0][0];
    lists();
    show();
    if (told) speech.say(state.textContent);
  }
  select.onchange = () => ask(Number(select.value));
  host.bookkit = {now, ask, choose};
  ask(0, false);
}
