// WordPiece as BERT uses it: lower case without accents, words and signs apart, each word in its longest known pieces.
// The library `tokenizers` does the same in BertNormalizer, BertPreTokenizer and WordPiece.

const LONGEST_WORD = 100, CONTINUED = "##", UNKNOWN = "[UNK]", SPECIAL = ["[PAD]", UNKNOWN, "[CLS]", "[SEP]", "[MASK]"];
const UNSEEN = /(?![\t\n\r])[\p{Cc}\p{Cf}\p{Co}\p{Cs}\ufffd]/gu, BLANK = /\p{White_Space}/gu, ACCENT = /\p{Mn}/gu;
/** Chinese characters, also in Japanese and Korean text: each is a word of its own. */
const CHINESE = /[\u{4e00}-\u{9fff}\u{3400}-\u{4dbf}\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b920}-\u{2ceaf}\u{f900}-\u{faff}\u{2f800}-\u{2fa1f}]/gu;
/** A sign by itself: what Unicode calls punctuation, and the other signs of ASCII. */
const PARTS = /[\p{P}$+<=>^`|~]|[^\p{P}$+<=>^`|~ ]+/gu;

/** The text as the model sees it, before it is cut. */
function normal(text) {
  const clean = text.replace(UNSEEN, "").replace(BLANK, " ").replace(CHINESE, " $& ");
  // Sign by sign, so that no letter depends on its neighbours.
  return Array.from(clean.normalize("NFD").replace(ACCENT, ""), (sign) => sign.toLowerCase()).join("");
}

export class WordPiece {
  /** @param {string} vocabulary the content of a vocab.txt: a piece a line, its line is its id */
  constructor(vocabulary) {
    this.ids = new Map(vocabulary.trimEnd().split("\n").map((piece, id) => [piece, id]));
    this.special = new RegExp(`(${SPECIAL.map((name) => name.replace(/[[\]]/g, "\\$&")).join("|")})`);
  }

  /** The ids of a text, without those that mark its beginning and end. @param {string} text @returns {number[]} */
  encode(text) {
    const well = text.toWellFormed ? text.toWellFormed() : text;
    return well.split(this.special).flatMap((part) =>
      SPECIAL.includes(part) ? [this.ids.get(part)] : (normal(part).match(PARTS) ?? []).flatMap((word) => this.pieces(word)));
  }

  /**
   * What the model reads of a text: begun, ended, and cut off behind `longest` ids.
   * @returns {{ids: number[], lost: number, unknown: number}} how many ids were cut off, and how many words are not known
   */
  read(text, longest) {
    const ids = this.encode(text), kept = ids.slice(0, longest - 2), unknown = kept.filter((id) => id === this.ids.get(UNKNOWN)).length;
    return {ids: [this.ids.get("[CLS]"), ...kept, this.ids.get("[SEP]")], lost: ids.length - kept.length, unknown};
  }

  /** One word in pieces, always the longest that the vocabulary has; a word that no pieces make up is unknown as a whole. */
  pieces(word) {
    const signs = Array.from(word), found = [], unknown = [this.ids.get(UNKNOWN)];
    if (signs.length > LONGEST_WORD) return unknown;
    for (let begin = 0, end; begin < signs.length; begin = end) {
      let id;
      for (end = signs.length; end > begin; end--) {
        id = this.ids.get((begin ? CONTINUED : "") + signs.slice(begin, end).join(""));
        if (id !== undefined) break;
      }
      if (id === undefined) return unknown;
      found.push(id);
    }
    return found;
  }
}
