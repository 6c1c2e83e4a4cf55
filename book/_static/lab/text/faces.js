// How tokens look: the viewers' faces, from the bytes that a token stands for.
import {runs, segments, spoken} from "../viewers/tokens.js";

/** What a page knows of the vocabulary: the bytes of its tokens, and which token stands before and after a text. */
export class Vocabulary {
  /** @param {{pieces: Object<number, Uint8Array>, end: number}} known */
  constructor({pieces, end}) { Object.assign(this, {pieces, end}); }

  has(id) { return this.pieces[id] !== undefined; }

  /** The parts of one token, and what it is called in a sentence. */
  face(id) {
    if (id === this.end) return {parts: [["u", "end of text"]], name: "end of text"};
    const parts = segments(this.pieces[id]).map(({kind, text}) => [kind, text]), letters = parts.filter(([kind]) => kind === "t");
    return {parts, name: letters.length ? parts.map(([kind, text]) => kind === "t" ? text : " ").join("").trim() : spoken(this.pieces[id])};
  }

  /** The faces of a text's tokens; those that share a character say which. */
  faces(ids) {
    const faces = ids.map((id) => this.face(id));
    for (const {first, last, text} of runs(ids.map((id) => this.pieces[id])))
      if (last > first && text) for (let i = first; i <= last; i++) faces[i].parts.push(["c", text]);
    return faces;
  }

  /** The text of tokens; what is no character yet becomes U+FFFD. */
  text(ids) {
    const decoder = new TextDecoder("utf-8", {ignoreBOM: true});
    return ids.map((id) => decoder.decode(this.pieces[id], {stream: true})).join("") + decoder.decode();
  }
}
