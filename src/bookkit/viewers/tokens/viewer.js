// The token viewer. First the tokenizer, which is GPT-2's byte-level BPE, then the page around it.

// ---------------------------------------------------------------- the tokenizer

// GPT-2's way of cutting text into words. \s of the library is Unicode's White_Space, which JavaScript's \s is not.
const SPLIT = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;
const encoder = new TextEncoder();
const strict = new TextDecoder("utf-8", {fatal: true, ignoreBOM: true});

// Lone surrogates become U+FFFD, as in every UTF-8 encoder.
const wellFormed = (text) => text.replace(/\p{Cs}/gu, "\ufffd");

// The first 256 ids: the printable bytes of Latin-1, then the others.
const BYTE_OF_ID = [];
for (const [from, to] of [[33, 126], [161, 172], [174, 255], [0, 32], [127, 160], [173, 173]])
  for (let byte = from; byte <= to; byte++) BYTE_OF_ID.push(byte);
const ID_OF_BYTE = [];
BYTE_OF_ID.forEach((byte, id) => { ID_OF_BYTE[byte] = id; });

// packed: high bytes of the left ids, high bytes of the right ids, low bytes left, low bytes right; one of each a merge.
function makeTokenizer(packed) {
  const count = packed.length / 4;
  const left = new Uint16Array(count), right = new Uint16Array(count);
  // Pairs by open addressing: two flat arrays are several times faster here than a Map.
  const slots = 1 << 18, pairs = new Uint32Array(slots), rankAt = new Int32Array(slots).fill(-1);
  const slotOf = (pair) => {
    let at = Math.imul(pair, 0x9e3779b1) >>> 14;
    while (rankAt[at] >= 0 && pairs[at] !== pair) at = at + 1 & slots - 1;
    return at;
  };
  for (let rank = 0; rank < count; rank++) {
    left[rank] = packed[rank] << 8 | packed[2 * count + rank];
    right[rank] = packed[count + rank] << 8 | packed[3 * count + rank];
    const pair = (left[rank] << 16 | right[rank]) >>> 0, at = slotOf(pair);
    pairs[at] = pair;
    rankAt[at] = rank;
  }
  const rankOf = (a, b) => rankAt[slotOf((a << 16 | b) >>> 0)];  // -1: no such pair

  const known = BYTE_OF_ID.map((byte) => Uint8Array.of(byte));
  function bytesOf(id) {
    if (!known[id]) {
      const a = bytesOf(left[id - 256]), b = bytesOf(right[id - 256]);
      const joined = new Uint8Array(a.length + b.length);
      joined.set(a);
      joined.set(b, a.length);
      known[id] = joined;
    }
    return known[id];
  }

  // Merges the pair of lowest rank, the leftmost first, until no pair is in the table. A heap holds the pairs to
  // come, rank above place, so that a word of ten thousand letters takes no longer than a page of short ones.
  function merge(bytes) {
    const size = bytes.length, token = new Int32Array(size), next = new Int32Array(size), before = new Int32Array(size), heap = [];
    for (let i = 0; i < size; i++) {
      token[i] = ID_OF_BYTE[bytes[i]];
      next[i] = i + 1 < size ? i + 1 : -1;
      before[i] = i - 1;
    }
    const offer = (i) => {
      const j = next[i];
      const rank = j < 0 ? -1 : rankOf(token[i], token[j]);
      if (rank < 0) return;
      const key = rank * 4294967296 + i;
      let at = heap.push(key) - 1;
      while (at > 0) {
        const up = at - 1 >> 1;
        if (heap[up] <= key) break;
        heap[at] = heap[up];
        at = up;
      }
      heap[at] = key;
    };
    const take = () => {
      const top = heap[0], last = heap.pop(), left = heap.length;
      if (left) {
        let at = 0;
        for (;;) {
          let down = 2 * at + 1;
          if (down >= left) break;
          if (down + 1 < left && heap[down + 1] < heap[down]) down++;
          if (heap[down] >= last) break;
          heap[at] = heap[down];
          at = down;
        }
        heap[at] = last;
      }
      return top;
    };
    for (let i = 0; i < size; i++) offer(i);
    while (heap.length) {
      const key = take(), i = key % 4294967296, rank = (key - i) / 4294967296, j = next[i];
      if (token[i] < 0 || j < 0 || rankOf(token[i], token[j]) !== rank) continue;
      token[i] = 256 + rank;
      token[j] = -1;
      next[i] = next[j];
      if (next[i] >= 0) before[next[i]] = i;
      if (before[i] >= 0) offer(before[i]);
      offer(i);
    }
    const ids = [];
    for (let i = size ? 0 : -1; i >= 0; i = next[i]) ids.push(token[i]);
    return ids;
  }

  const cache = new Map();
  function idsOf(word) {
    let ids = cache.get(word);
    if (!ids) {
      if (cache.size > 50000) cache.clear();
      ids = merge(encoder.encode(word));
      cache.set(word, ids);
    }
    return ids;
  }

  // The words of a text, each with its place and its ids. special: {text: id}, found before anything else is cut.
  function encode(text, special = {}) {
    const words = [];
    const cut = (from, to) => {
      for (const match of text.slice(from, to).matchAll(SPLIT))
        words.push({start: from + match.index, text: match[0], ids: idsOf(match[0])});
    };
    const names = Object.keys(special).sort((a, b) => b.length - a.length);
    let from = 0;
    text = wellFormed(text);
    if (names.length) {
      const any = new RegExp(names.map((name) => name.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")).join("|"), "gu");
      for (const match of text.matchAll(any)) {
        cut(from, match.index);
        words.push({start: match.index, text: match[0], ids: [special[match[0]]], special: true});
        from = match.index + match[0].length;
      }
    }
    cut(from, text.length);
    return words;
  }

  // The same merges one at a time, as in a textbook: every state of the word, with the rank of each neighbouring pair.
  function steps(word) {
    const states = [];
    let pieces = Array.from(encoder.encode(word), (byte, start) => ({id: ID_OF_BYTE[byte], start, size: 1}));
    for (let made = -1;;) {
      const pairs = pieces.slice(1).map((piece, i) => rankOf(pieces[i].id, piece.id));
      let best = -1;
      pairs.forEach((rank, i) => { if (rank >= 0 && (best < 0 || rank < pairs[best])) best = i; });
      states.push({pieces, pairs, best, made});
      if (best < 0) return states;
      const a = pieces[best], b = pieces[best + 1];
      pieces = [...pieces.slice(0, best), {id: 256 + pairs[best], start: a.start, size: a.size + b.size}, ...pieces.slice(best + 2)];
      made = best;
    }
  }

  return {encode, steps, bytesOf, merges: count};
}

async function unpack(base64) {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// ---------------------------------------------------------------- how bytes are shown

const SYMBOL = {" ": "·", "\n": "⏎", "\t": "→"};
const SPOKEN = {" ": "space", "\n": "newline", "\t": "tab"};
// biome-ignore lint/suspicious/noMisleadingCharacterClass: it looks at one character at a time, combining ones among them
const HIDDEN = /^[\p{Cc}\p{Cf}\p{Co}\p{Zs}\p{Zl}\p{Zp}\p{NChar}\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\u{e0100}-\u{e01ef}]$/u;
const MARK = /^\p{M}$/u;
const RTL = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u;
const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).toUpperCase().padStart(2, "0")).join(" ");

// Characters of a byte string; a byte that is no part of one stands for itself.
function characters(bytes) {
  const found = [];
  for (let i = 0; i < bytes.length;) {
    const lead = bytes[i];
    const size = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
    let char = null;
    if (size && i + size <= bytes.length) try { char = strict.decode(bytes.subarray(i, i + size)); } catch { char = null; }
    found.push({char, start: i, size: char === null ? 1 : size, byte: lead});
    i += char === null ? 1 : size;
  }
  return found;
}

// What to draw for a byte string: kind "t" text, "w" white space, "u" a character that cannot be seen, "x" bytes in hex.
function segments(bytes) {
  const out = [];
  const add = (kind, text, joint) => {
    const last = out[out.length - 1];
    if (last && last.kind === kind && joint !== null) last.text += joint + text;
    else out.push({kind, text});
  };
  for (const {char, byte} of characters(bytes)) {
    if (char === null) add("x", hex([byte]), " ");
    else if (SYMBOL[char]) add("w", SYMBOL[char], "");
    else if (HIDDEN.test(char)) add("u", "U+" + char.codePointAt(0).toString(16).toUpperCase().padStart(4, "0"), null);
    else if (MARK.test(char) && !(out.length && out[out.length - 1].kind === "t")) add("t", "◌" + char, "");
    else add("t", char, "");
  }
  return out;
}

const spoken = (bytes) => characters(bytes).map(({char, byte}) => char === null ? ` byte ${hex([byte])} `
  : SPOKEN[char] ? ` ${SPOKEN[char]} ` : HIDDEN.test(char) ? ` U+${char.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")} ` : char)
  .join("").replace(/ +/g, " ").trim();

// Pieces of one word that share a character: runs [first, last] of pieces whose borders lie inside a character.
function runs(pieces) {
  const all = new Uint8Array(pieces.reduce((sum, bytes) => sum + bytes.length, 0));
  let at = 0;
  const ends = pieces.map((bytes) => { all.set(bytes, at); at += bytes.length; return at; });
  const inside = new Set();
  for (const {char, start, size} of characters(all))
    if (char !== null) for (let i = 1; i < size; i++) inside.add(start + i);
  const out = [];
  for (let i = 0; i < pieces.length; i++) {
    let last = i;
    while (last + 1 < pieces.length && inside.has(ends[last])) last++;
    const from = i ? ends[i - 1] : 0;
    // The character itself, without the blanks that may share its first piece.
    out.push({first: i, last, text: last > i ? strict.decode(all.subarray(from, ends[last])).replace(/^[ \t\n]+|[ \t\n]+$/g, "") : ""});
    i = last;
  }
  return out;
}

// ---------------------------------------------------------------- the page

const number = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, ",");
const plural = (n, word) => `${number(n)} ${word}${n === 1 ? "" : "s"}`;

function letters(bytes, name = "bk-NAME-t") {
  const box = el("span", name);
  const parts = segments(bytes);
  for (const {kind, text} of parts)
    if (kind === "t") box.append(text); else box.append(el("span", "bk-NAME-" + kind, text));
  if (parts.some(({kind, text}) => kind === "t" && RTL.test(text))) box.dir = "rtl";
  return box;
}

// biome-ignore lint/correctness/noUnusedVariables: the fragment calls it
function mount(root, data, host) {
  const special = data.special;
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const MANY = 4000, PARCEL = 240, LONG = 96;
  let bpe = null, words = [], pieces = [], chosen = 0, view = "pieces", allowed = MANY, states = [], state = 0, timer = 0;
  let typedTimer = 0, frame = 0;

  // ---- the parts
  const box = el("div", "bk-NAME");
  const top = el("div", "bk-NAME-top");
  const label = el("span", "bk-NAME-label", "Type any text", {"aria-hidden": "true"});
  const examples = el("div", "bk-NAME-examples", null, {role: "group", "aria-label": "Examples"});
  top.append(label, examples);
  for (const [name, text] of data.examples) {
    const button = el("button", "bk-NAME-link", name, {type: "button"});
    button.onclick = () => { area.value = text; allowed = MANY; update(null); };
    examples.append(button);
  }
  const area = el("textarea", "bk-NAME-text", null, {slot: "text", rows: 3, dir: "auto", spellcheck: "false",
    autocomplete: "off", autocapitalize: "off", autocorrect: "off", "aria-label": "Text to cut into tokens"});
  area.value = data.text;
  host.append(area);
  label.onclick = () => area.focus();

  const sum = el("p", "bk-NAME-sum");
  const bar = el("div", "bk-NAME-bar");
  bar.append(choices("Show the tokens as", [["pieces", "Pieces"], ["ids", "Ids"], ["table", "Table"]], view, (to) => { view = to; draw(); }));
  const toggle = el("input", null, null, {type: "checkbox"});
  if (Object.keys(special).length) {
    const wrap = el("label", "bk-NAME-check");
    toggle.checked = data.allowSpecial;
    toggle.onchange = () => update(null);
    wrap.append(toggle, el("span", null, "allow special tokens"));
    bar.append(wrap);
  }
  const out = el("div", "bk-NAME-out");
  const still0 = host.querySelector(".bk-NAME-pieces");
  if (still0) out.append(still0.cloneNode(true));
  const hint = el("p", "bk-NAME-hint", "Arrow keys move, Enter opens the merges.", {id: "hint"});
  const detail = el("p", "bk-NAME-detail");
  const live = el("p", "bkv-sr", null, {"aria-live": "polite"});

  const panel = el("section", "bk-NAME-merge", null, {"aria-label": "How the word was merged"});
  const title = el("p", "bk-NAME-title");
  const controls = el("div", "bk-NAME-controls");
  const back = el("button", "bk-NAME-round bk-NAME-back", null, {type: "button", "aria-label": "One merge back"});
  const slider = el("input", null, null, {type: "range", min: 0, max: 0, step: 1, value: 0, "aria-label": "Merges made"});
  const forth = el("button", "bk-NAME-round", null, {type: "button", "aria-label": "One merge on"});
  const play = el("button", "bk-NAME-link", "Play", {type: "button"});
  controls.append(back, slider, forth, play);
  const stage = el("div", "bk-NAME-stage", null, {role: "img"});
  const caption = el("p", "bk-NAME-caption", null, {"aria-live": "polite"});
  const wall = el("ol", "bk-NAME-wall", null, {"aria-label": "All merges of this word", tabindex: 0});
  const head = el("div", "bk-NAME-head");
  head.append(title, controls);
  panel.append(head, stage, caption, wall);
  // The last rows fade as long as more of them follow below.
  const fade = () => wall.classList.toggle("bk-NAME-more", wall.scrollTop + wall.clientHeight < wall.scrollHeight - 6);
  wall.addEventListener("scroll", fade, {passive: true});
  new ResizeObserver(fade).observe(wall);
  box.append(top, el("slot", null, null, {name: "text"}), sum, bar, out, hint, detail, panel, live);
  root.append(box);
  panel.hidden = true;

  // ---- the merges of a word
  function tell() {
    const {pieces: now, best, made} = states[state];
    if (made >= 0) {
      const old = states[state - 1], a = old.pieces[made], b = old.pieces[made + 1], rank = old.pairs[made];
      const parts = [`Merge ${state} of ${states.length - 1}: `, letters(bpe.bytesOf(a.id), "bk-NAME-in"), " + ", letters(bpe.bytesOf(b.id), "bk-NAME-in"), " → ",
        letters(bpe.bytesOf(256 + rank), "bk-NAME-in bk-NAME-made"), `, rank ${rank}, id ${256 + rank}. `];
      if (best < 0) parts.push(now.length > 1 ? `No pair that is left stands in the table: these ${now.length} pieces are the tokens.`
        : "One piece is left: the whole word is one token.");
      else parts.push(`Of the ranks that stand now, ${states[state].pairs[best]} is the lowest.`);
      caption.replaceChildren(...parts);
    } else if (best >= 0) {
      caption.textContent = `The word begins as ${now.length} bytes. Between two pieces stands the rank of that pair, `
        + "that is, how early it was learned. The lowest rank merges first; – means that the pair was never learned.";
    } else {
      caption.textContent = now.length > 1 ? "None of these pairs stands in the table: every byte stays a token of its own."
        : "A single byte: there is nothing to merge.";
    }
    caption.setAttribute("aria-live", timer ? "off" : "polite");
  }

  function bricks(row, {pieces: now, made}) {
    now.forEach((piece, i) => {
      const brick = letters(bpe.bytesOf(piece.id), "bk-NAME-brick" + (i === made ? " bk-NAME-made" : "") + (piece.size > 1 && i !== made ? " bk-NAME-old" : ""));
      brick.style.gridColumn = `${piece.start + 1} / span ${piece.size}`;
      row.append(brick);
    });
  }

  function show(to, animate) {
    const places = new Map();
    if (animate && !still.matches)
      for (const element of stage.querySelectorAll(".bk-NAME-box")) places.set(element.dataset.start, element.getBoundingClientRect());
    state = Math.max(0, Math.min(states.length - 1, to));
    const {pieces: now, pairs, best, made} = states[state];
    const row = new DocumentFragment();
    now.forEach((piece, i) => {
      const element = letters(bpe.bytesOf(piece.id), "bk-NAME-box" + (i === made ? " bk-NAME-made" : "") + (i === best || i === best + 1 && best >= 0 ? " bk-NAME-next" : ""));
      element.dataset.start = piece.start;
      const unit = el("span", "bk-NAME-unit");
      unit.append(element);
      row.append(unit);
      if (i < pairs.length) {
        const gap = el("span", "bk-NAME-gap" + (i === best ? " bk-NAME-best" : pairs[i] < 0 ? " bk-NAME-none" : ""));
        gap.append(el("b", null, pairs[i] < 0 ? "–" : pairs[i]));
        unit.append(gap);
      }
    });
    stage.replaceChildren(row);
    stage.setAttribute("aria-label", now.map((piece) => spoken(bpe.bytesOf(piece.id))).join(", "));
    if (places.size) for (const element of stage.querySelectorAll(".bk-NAME-box")) {
      const was = places.get(element.dataset.start), is = element.getBoundingClientRect();
      if (was && (was.left !== is.left || was.top !== is.top)) element.animate(
        [{transform: `translate(${was.left - is.left}px, ${was.top - is.top}px)`}, {transform: "none"}], {duration: 260, easing: "ease-out"});
    }
    slider.value = state;
    slider.setAttribute("aria-valuetext", `${state} of ${states.length - 1} merges made`);
    back.disabled = state === 0;
    forth.disabled = state === states.length - 1;
    [...wall.children].forEach((line, i) => {
      line.classList.toggle("bk-NAME-now", i === state);
      line.classList.toggle("bk-NAME-later", i > state);
    });
    const line = wall.children[state];
    if (line && (line.offsetTop < wall.scrollTop || line.offsetTop + line.offsetHeight > wall.scrollTop + wall.clientHeight))
      wall.scrollTop = line.offsetTop - wall.clientHeight / 2;
    fade();
    tell();
  }

  function stop() {
    clearInterval(timer);
    timer = 0;
    play.textContent = still.matches ? "To the end" : "Play";
  }
  function step(by) { stop(); show(state + by, true); }
  back.onclick = () => step(-1);
  forth.onclick = () => step(1);
  slider.oninput = () => { stop(); show(Number(slider.value), true); };
  play.onclick = () => {
    if (timer) { stop(); tell(); return; }
    if (still.matches) { show(states.length - 1, false); return; }
    if (state === states.length - 1) show(0, false);
    timer = setInterval(() => {
      if (!host.isConnected) { stop(); return; }
      show(state + 1, true);
      if (state === states.length - 1) { stop(); tell(); }
    }, 1000);
    play.textContent = "Pause";
  };
  panel.addEventListener("keydown", (event) => {
    if (event.target === slider || !["ArrowLeft", "ArrowRight"].includes(event.key)) return;
    event.preventDefault();
    step(event.key === "ArrowRight" ? 1 : -1);
  });
  wall.onclick = (event) => {
    const line = event.target.closest("li");
    if (line) { stop(); show([...wall.children].indexOf(line), true); }
  };

  let opened = null;
  function open(word) {
    const key = word && (word.special ? "!" : "=") + word.text;
    if (key === opened) return;
    opened = key;
    stop();
    panel.hidden = !word;
    if (!word) return;
    const bytes = encoder.encode(word.text);
    title.replaceChildren("How ", letters(bytes, "bk-NAME-in"), word.special ? " came about" : " is merged");
    const simple = word.special || bytes.length > LONG;
    controls.hidden = stage.hidden = wall.hidden = simple;
    if (simple) {
      states = [];
      stage.replaceChildren();
      wall.replaceChildren();
      caption.textContent = word.special
        ? `Not by merging. A special token is looked for before the text is cut into words, and has an id of its own: ${word.ids[0]}.`
        : `This word has ${number(bytes.length)} bytes; the merges are drawn for words of up to ${LONG}.`;
      return;
    }
    states = bpe.steps(word.text);
    slider.max = states.length - 1;
    controls.hidden = states.length < 2;
    wall.hidden = states.length < 2;
    wall.style.setProperty("--bytes", bytes.length);
    wall.replaceChildren(...states.map((now, i) => {
      const line = el("li", "bk-NAME-line"), row = el("span", "bk-NAME-row", null, {"aria-hidden": "true"});
      bricks(row, now);
      const note = el("span", "bk-NAME-note", i ? null : "start", {"aria-hidden": "true"});
      let heard = `The word begins as ${now.pieces.length} bytes`;
      if (i) {
        const rank = states[i - 1].pairs[now.made];
        note.append(el("span", "bk-NAME-word", "rank "), rank);
        heard = `Merge ${i}: rank ${rank} makes ${spoken(bpe.bytesOf(256 + rank))}`;
      }
      line.append(row, note, el("span", "bkv-sr", heard));
      return line;
    }));
    show(0, false);
  }

  // ---- the pieces
  function describe(index) {
    const piece = pieces[index];
    if (!piece) { detail.replaceChildren(); return; }
    const bytes = piece.bytes;
    const item = (name, value) => { const span = el("span", "bk-NAME-fact"); span.append(el("span", "bk-NAME-key", name), " ", el("span", "bk-NAME-value", value)); return span; };
    const facts = [letters(bytes, "bk-NAME-in"), item("id", piece.id)];
    if (piece.word.special) facts.push(item("special token", ""));
    else if (piece.id >= 256) facts.push(item("rank", piece.id - 256));
    facts.push(item(bytes.length === 1 ? "byte" : `${bytes.length} bytes`, hex(bytes.subarray(0, 24)) + (bytes.length > 24 ? " …" : "")));
    facts.push(item("token", `${number(index + 1)} of ${number(pieces.length)}`));
    detail.replaceChildren(...facts);
  }

  function choose(index, focus) {
    if (!pieces.length) { describe(-1); open(null); return; }
    index = Math.max(0, Math.min(pieces.length - 1, index));
    const old = out.querySelector('[aria-selected="true"]');
    if (old) { old.setAttribute("aria-selected", "false"); old.tabIndex = -1; }
    chosen = index;
    const now = out.querySelector(`[data-i="${index}"]`);
    if (now) {
      now.setAttribute("aria-selected", "true");
      now.tabIndex = 0;
      const list = out.firstChild, top = now.getBoundingClientRect().top - list.getBoundingClientRect().top;
      if (top < 0 || top > list.clientHeight - now.offsetHeight) list.scrollTop += top - list.clientHeight / 2;
      if (focus) now.focus();
    }
    describe(index);
    open(pieces[index].word);
  }

  // A piece looks and sounds alike wherever it stands, so each is built once and cloned.
  const molds = new Map();
  function pieceNode(piece, i) {
    const key = (piece.word.special ? "!" : "=") + piece.id;
    let mold = molds.get(key);
    if (!mold) {
      mold = el("span", null, null, {role: "option", tabindex: -1, "aria-selected": "false", "aria-label": `${spoken(piece.bytes)}, id ${piece.id}`});
      mold.append(letters(piece.bytes), el("small", "bk-NAME-id", piece.id));
      molds.set(key, mold);
    }
    const node = mold.cloneNode(true);
    node.className = "bk-NAME-p" + (i % 2 ? " bk-NAME-odd" : "") + (piece.place ? " bk-NAME-join" : "")
      + (piece.place + 1 < piece.word.ids.length ? " bk-NAME-on" : "") + (piece.word.special ? " bk-NAME-special" : "");
    node.dataset.i = i;
    return node;
  }

  function drawPieces() {
    const list = el("div", "bk-NAME-pieces", null, {role: "listbox", "aria-label": "Tokens", "aria-describedby": "hint", "aria-orientation": "horizontal"});
    const first = words.find((word) => /\p{L}/u.test(word.text));
    if (first && RTL.test(first.text.match(/\p{L}/u)[0])) list.dir = "rtl";
    // In parcels, so that the browser lays out only those in view.
    let i = 0, parcel = null, full = 0;
    for (const word of words) {
      if (i >= allowed) break;
      const mine = pieces.slice(i, i + word.ids.length);
      const broken = mine.length > 1 && mine.some((piece) => piece.broken);
      for (const run of broken ? runs(mine.map((piece) => piece.bytes)) : mine.map((_, k) => ({first: k, last: k}))) {
        if (i + run.first >= full) {
          parcel = el("div", "bk-NAME-parcel", null, {role: "presentation"});
          list.append(parcel);
          full = i + run.first + PARCEL;
        }
        let into = parcel;
        if (run.last > run.first) {
          into = el("span", "bk-NAME-group" + (mine[run.first].place ? " bk-NAME-join" : "") + (run.last + 1 < mine.length ? " bk-NAME-on" : ""), null, {role: "group", "aria-label": `${run.text} in ${run.last - run.first + 1} pieces`});
          const char = letters(encoder.encode(run.text), "bk-NAME-char");
          char.setAttribute("aria-hidden", "true");
          into.append(char);
          parcel.append(into);
        }
        for (let k = run.first; k <= run.last; k++) into.append(pieceNode(mine[k], i + k));
        if (mine.slice(run.first, run.last + 1).some((piece) => piece.bytes.includes(10))) parcel.append(el("span", "bk-NAME-break", null, {role: "presentation"}));
      }
      i += mine.length;
    }
    const nodes = [list];
    if (!pieces.length) nodes.push(el("p", "bk-NAME-empty", "No text, no tokens."));
    if (i < pieces.length) {
      const more = el("button", "bk-NAME-link", `Show the other ${number(pieces.length - i)} pieces`, {type: "button"});
      more.onclick = () => { allowed = Infinity; draw(); };
      nodes.push(more);
    }
    list.hidden = !pieces.length;
    list.classList.toggle("bk-NAME-long", i > PARCEL);
    out.replaceChildren(...nodes);
  }

  function drawIds() {
    const shown = pieces.slice(0, 20000).map((piece) => piece.id).join(", ");
    out.replaceChildren(el("code", "bk-NAME-list", `[${shown}${pieces.length > 20000 ? ", …" : ""}]`, {tabindex: 0, role: "textbox", "aria-readonly": "true", "aria-label": "Ids"}));
  }

  function drawTable() {
    const table = el("table", "bk-NAME-table"), body = el("tbody"), heads = el("tr");
    for (const name of ["#", "Piece", "Id", "Bytes"]) heads.append(el("th", null, name, {scope: "col"}));
    const thead = el("thead");
    thead.append(heads);
    pieces.slice(0, 1000).forEach((piece, i) => {
      const line = el("tr"), cell = el("td");
      cell.append(letters(piece.bytes, "bk-NAME-in"));
      line.append(el("td", null, i + 1), cell, el("td", null, piece.id), el("td", null, hex(piece.bytes)));
      body.append(line);
    });
    table.append(thead, body);
    const scroll = el("div", "bk-NAME-scroll", null, {tabindex: 0, role: "region", "aria-label": "Table of tokens"});
    scroll.append(table);
    if (pieces.length > 1000) scroll.append(el("p", "bk-NAME-empty", `The first 1,000 of ${number(pieces.length)} tokens.`));
    out.replaceChildren(scroll);
  }

  function draw() {
    hint.hidden = view !== "pieces" || !pieces.length;
    if (view === "pieces") drawPieces(); else if (view === "ids") drawIds(); else drawTable();
    choose(chosen, false);
  }

  const at = (event) => { const node = event.target.closest?.("[data-i]"); return node ? Number(node.dataset.i) : null; };
  out.addEventListener("click", (event) => { const i = at(event); if (i !== null) choose(i, true); });
  out.addEventListener("focusin", (event) => { const i = at(event); if (i !== null && i !== chosen) choose(i, false); });
  out.addEventListener("pointerover", (event) => { const i = at(event); if (i !== null && event.pointerType === "mouse") describe(i); });
  out.addEventListener("pointerleave", () => describe(chosen));
  out.addEventListener("keydown", (event) => {
    if (at(event) === null) return;
    const rtl = out.firstChild.dir === "rtl";
    const move = {ArrowRight: rtl ? -1 : 1, ArrowLeft: rtl ? 1 : -1, ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity}[event.key];
    if (move !== undefined) {
      event.preventDefault();
      choose(Math.min(chosen + move, Math.min(pieces.length, out.querySelectorAll("[data-i]").length) - 1), true);
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      if (!controls.hidden) slider.focus();
    }
  });

  // ---- from text to pieces
  const partly = new Map();
  function isBroken(id) {
    if (!partly.has(id)) partly.set(id, characters(bpe.bytesOf(id)).some(({char}) => char === null));
    return partly.get(id);
  }

  function update(caret) {
    if (!bpe) return;
    const begin = performance.now();
    const text = area.value;
    words = bpe.encode(text, toggle.checked ? special : {});
    const encoded = performance.now();
    pieces = [];
    for (const word of words) word.ids.forEach((id, place) => {
      const bytes = word.special ? encoder.encode(word.text) : bpe.bytesOf(id);
      pieces.push({id, word, place, bytes, broken: !word.special && isBroken(id)});
    });
    const chars = Array.from(wellFormed(text)).length, size = encoder.encode(text).length;
    const each = pieces.length ? (chars / pieces.length).toFixed(1) : null;
    sum.replaceChildren(...[el("strong", null, plural(pieces.length, "token")), el("span", null, plural(chars, "character")), el("span", null, plural(size, "byte")),
      ...(each ? [el("span", null, `${each} characters a token`)] : [])]);
    clearTimeout(typedTimer);
    typedTimer = setTimeout(() => {
      live.textContent = `${plural(pieces.length, "token")}, ${plural(chars, "character")}, ${plural(size, "byte")}${each ? `; ${each} characters a token` : ""}`;
    }, 500);
    chosen = caret === null ? favourite() : pieceAt(caret);
    draw();
    host.bookkit.took = {encode: encoded - begin, draw: performance.now() - encoded};
  }

  // The piece under the cursor; without a cursor the first piece of the word with the most merges that is still easy to read.
  function pieceAt(caret) {
    let i = 0;
    for (const word of words) {
      if (word.start + word.text.length >= caret) {
        let left = encoder.encode(word.text.slice(0, Math.max(0, caret - word.start))).length, k = 0;
        while (k + 1 < word.ids.length && left > pieces[i + k].bytes.length) left -= pieces[i + k++].bytes.length;
        return i + k;
      }
      i += word.ids.length;
    }
    return Math.max(0, pieces.length - 1);
  }
  function favourite() {
    let i = 0, best = 0, most = -1;
    for (const word of words) {
      const size = word.special ? 0 : encoder.encode(word.text).length;
      if (size <= 18 && size > most) { most = size; best = i; }
      i += word.ids.length;
    }
    return best;
  }

  area.addEventListener("input", () => {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(() => {
      // A full stop or a newline has nothing to show: stay with the word before it.
      const caret = area.selectionStart, before = area.value[caret - 1];
      update(caret > 1 && /[\n.,;:!?]/.test(before) ? caret - 1 : caret);
    });
  });
  const follow = () => { const i = bpe ? pieceAt(area.selectionStart) : chosen; if (i !== chosen) choose(i, false); };
  area.addEventListener("keyup", follow);
  area.addEventListener("pointerup", follow);

  // ---- begin; a second viewer on the page takes the tables that the first one unpacked
  window.bookkitShared ??= {};
  window.bookkitShared[data.key] ??= unpack(data.blob).then(makeTokenizer);
  const loading = window.bookkitShared[data.key];
  host.bookkit = {
    ready: loading.then((tokenizer) => { bpe = tokenizer; stop(); update(null); }),
    encode: (text, allow) => bpe.encode(text, allow ? special : {}).flatMap((word) => word.ids),
    words: (text) => bpe.encode(text).map((word) => word.text),
    steps: (word) => bpe.steps(word),
  };
  host.bookkit.ready.catch((error) => {
    console.error(error);
    detail.textContent = "This browser cannot unpack the vocabulary (it lacks DecompressionStream), so the figure shows the example only.";
  });
}
