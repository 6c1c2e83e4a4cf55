// Byte-level byte-pair encoding from a tokenizer.json, as the library `tokenizers` does it; CLIP's kind and GPT-2's.

/** Printable stand-ins for the 256 bytes: those that can be seen stand for themselves. */
function alphabet() {
  const seen = (byte) => (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  let more = 256;
  return Array.from({length: 256}, (_, byte) => String.fromCodePoint(seen(byte) ? byte : more++));
}

/** The library's white space is Unicode's; JavaScript's \s is another set. */
const regular = (source) => new RegExp(
  source.replaceAll("[^\\s", "[^\\p{White_Space}").replaceAll("\\s", "\\p{White_Space}").replaceAll("\\S", "\\P{White_Space}"), "gu");
const GPT2 = regular("'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+");

function normaliser(spec) {
  if (!spec) return (text) => text;
  if (spec.type === "Sequence") { const all = spec.normalizers.map(normaliser); return (text) => all.reduce((done, one) => one(done), text); }
  if (spec.type === "NFC") return (text) => text.normalize("NFC");
  if (spec.type === "Lowercase") return (text) => Array.from(text, (sign) => sign.toLowerCase()).join("");
  if (spec.type === "Replace") { const old = regular(spec.pattern.Regex); return (text) => text.replace(old, spec.content); }
  throw new Error(`The normalizer ${spec.type} is not known here.`);
}

/** A function from a piece to smaller pieces, each with where it begins; `bytes` is true once ByteLevel has been met. */
function cutter(spec) {
  const cut = (expression, keepRest) => ({text, at}) => {
    const found = [];
    let end = 0;
    for (const match of text.matchAll(expression)) {
      if (keepRest && match.index > end) found.push({text: text.slice(end, match.index), at: at + end});
      if (match[0]) found.push({text: match[0], at: at + match.index});
      end = match.index + match[0].length;
    }
    if (keepRest && end < text.length) found.push({text: text.slice(end), at: at + end});
    return found;
  };
  if (spec.type === "Sequence") { const all = spec.pretokenizers.map(cutter); return (piece) => all.reduce((pieces, one) => pieces.flatMap(one), [piece]); }
  if (spec.type === "Split" && spec.behavior === "Removed" && spec.invert) return cut(regular(spec.pattern.Regex), false);
  if (spec.type === "ByteLevel") return spec.use_regex === false ? (piece) => [piece] : cut(GPT2, true);
  throw new Error(`The pre-tokenizer ${spec.type} is not known here.`);
}

export class Tokenizer {
  /** @param {object} spec the content of a tokenizer.json */
  constructor(spec) {
    const {model} = spec;
    if (model.type !== "BPE") throw new Error(`The model ${model.type} is not known here.`);
    this.vocabulary = new Map(Object.entries(model.vocab));
    this.ranks = new Map(model.merges.map((merge, rank) => [Array.isArray(merge) ? merge.join(" ") : merge, rank]));
    this.suffix = model.end_of_word_suffix || "";
    this.added = new Map(spec.added_tokens.map((token) => [token.content, token.id]));
    this.normalise = normaliser(spec.normalizer);
    this.cut = cutter(spec.pre_tokenizer);
    this.alphabet = alphabet();
    this.pieces = [];
    for (const [piece, id] of [...this.vocabulary, ...this.added]) this.pieces[id] = piece;
    const names = [...this.added.keys()].map((name) => name.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"));
    this.special = names.length ? new RegExp(`(${names.join("|")})`, "u") : null;
    this.done = new Map();
  }

  /**
   * @param {string} text
   * @returns {{text: string, at: number, ids: number[]}[]} words and signs in their order, each with its ids and with
   *   where it begins in the normalised text
   */
  words(text) {
    const well = text.toWellFormed ? text.toWellFormed() : text, out = [];
    let at = 0;
    for (const part of this.special ? well.split(this.special) : [well]) {
      if (this.added.has(part)) { out.push({text: part, at, ids: [this.added.get(part)]}); at += part.length; continue; }
      const normal = this.normalise(part);
      for (const piece of this.cut({text: normal, at: 0})) out.push({text: piece.text, at: at + piece.at, ids: this.merge(piece.text)});
      at += normal.length;
    }
    return out;
  }

  /** @param {string} text @returns {number[]} */
  encode(text) { return this.words(text).flatMap((word) => word.ids); }

  /** @param {number} id @returns {Uint8Array} the bytes that a token stands for; not for vocabularies that mark ends of words */
  bytes(id) {
    const piece = this.pieces[id];
    return this.added.has(piece) ? new TextEncoder().encode(piece) : Uint8Array.from(piece, (letter) => this.alphabet.indexOf(letter));
  }

  /** The ids of one word: its bytes, joined pair by pair, always the pair that was learned first. */
  merge(word) {
    const known = this.done.get(word);
    if (known) return known;
    const parts = Array.from(new TextEncoder().encode(word), (byte) => this.alphabet[byte]);
    if (this.suffix && parts.length) parts[parts.length - 1] += this.suffix;
    for (;;) {
      let best = Infinity, place = -1;
      for (let i = 0; i + 1 < parts.length; i++) {
        const rank = this.ranks.get(`${parts[i]} ${parts[i + 1]}`);
        if (rank !== undefined && rank < best) { best = rank; place = i; }
      }
      if (place < 0) break;
      parts.splice(place, 2, parts[place] + parts[place + 1]);
    }
    const ids = parts.map((part) => this.vocabulary.get(part));
    if (ids.includes(undefined)) throw new Error(`The vocabulary lacks a byte of ${JSON.stringify(word)}.`);
    if (this.done.size < 5000) this.done.set(word, ids);
    return ids;
  }
}
