def merge(symbols: list[str], pair: tuple[str, str]) -> list[str]:
    """Join every occurrence of a pair of neighbouring symbols, from the left."""
    merged, i = [], 0
    while i < len(symbols):
        if tuple(symbols[i : i + 2]) == pair:
            merged.append(symbols[i] + symbols[i + 1])
            i += 2
        else:
            merged.append(symbols[i])
            i += 1
    return merged


def count_pairs(splits: dict[str, list[str]], words: Counter) -> Counter:
    """Count neighbouring symbols over a corpus {word: count}, given its splits."""
    pairs = Counter()
    for word, count in words.items():
        for pair in zip(splits[word], splits[word][1:]):
            pairs[pair] += count
    return pairs


def train_bpe(words: Counter, alphabet: list[str], merges: int) -> list[tuple[str, str]]:
    """Learn BPE merges from {word: count}; a tie goes to the pair with older parts."""
    ids = {symbol: number for number, symbol in enumerate(alphabet)}
    splits = {word: list(word) for word in words}
    learned = []
    for _ in range(merges):
        pairs = count_pairs(splits, words)
        if not pairs:
            break
        best = max(pairs, key=lambda pair: (pairs[pair], -ids[pair[0]], -ids[pair[1]]))
        learned.append(best)
        ids["".join(best)] = len(ids)
        for word, symbols in splits.items():
            if best[0] in symbols and best[1] in symbols:
                splits[word] = merge(symbols, best)
    return learned


def longest_match(word: str, vocabulary: dict[str, int]) -> list[str]:
    """Split a word, always by the longest piece that fits; ["[UNK]"] if none does."""
    pieces, start = [], 0
    while start < len(word):
        prefix = "##" if start else ""
        candidates = (prefix + word[start:end] for end in range(len(word), start, -1))
        piece = next((piece for piece in candidates if piece in vocabulary), None)
        if piece is None or len(word) > 100:  # BERT gives up on very long words
            return ["[UNK]"]
        pieces.append(piece)
        start += len(piece) - len(prefix)
    return pieces


def edges(word: str, logp: LogProbs, without: str | None = None) -> list[list[tuple]]:
    """For every position in a word: the pieces that end there, (start, log p, piece)."""
    unknown = min(logp.values()) - UNKNOWN_PENALTY
    found = [[] for _ in range(len(word) + 1)]
    for end in range(1, len(word) + 1):
        for start in range(end):
            piece = word[start:end]
            if piece in logp and piece != without:
                found[end].append((start, logp[piece], piece))
            elif end - start == 1:
                found[end].append((start, unknown, "<unk>"))
    return found


def viterbi(word: str, logp: LogProbs, without: str | None = None) -> list[str]:
    """Return the most probable cut of a word, optionally forbidding one piece."""
    best = [(0.0, 0, "")] + [(-math.inf, 0, "")] * len(word)
    for end, arriving in enumerate(edges(word, logp, without)):
        for start, score, piece in arriving:
            if best[start][0] + score > best[end][0]:
                best[end] = (best[start][0] + score, start, piece)
    pieces, end = [], len(word)
    while end:
        _, end, piece = best[end]
        pieces.append(piece)
    return pieces[::-1]


def expected_counts(words: Counter, logp: LogProbs) -> dict[str, float]:
    """E step: how often each piece is expected, over all cuts (forward–backward)."""
    expected = defaultdict(float)
    for word, count in words.items():
        arriving = edges(word, logp)
        forward = np.full(len(word) + 1, -np.inf)  # log p of all cuts up to here, summed
        backward = forward.copy()  # ... and from here to the end
        forward[0] = backward[-1] = 0.0
        for end in range(1, len(word) + 1):
            paths = [forward[start] + score for start, score, _ in arriving[end]]
            forward[end] = np.logaddexp.reduce(paths)
        for end in range(len(word), 0, -1):
            for start, score, _ in arriving[end]:
                backward[start] = np.logaddexp(backward[start], backward[end] + score)
        for end in range(1, len(word) + 1):
            for start, score, piece in arriving[end]:
                through = forward[start] + score + backward[end]
                expected[piece] += count * math.exp(through - forward[-1])
    return expected


def digamma(x: float) -> float:
    """The derivative of log Γ(x): recurrence up to 7, then the asymptotic series."""
    shift = 0.0
    while x < 7:
        shift -= 1 / x
        x += 1
    y = 1 / (x - 0.5) ** 2
    series = y / 24 - 7 * y**2 / 960 + 31 * y**3 / 8064 - 127 * y**4 / 30720
    return shift + math.log(x - 0.5) + series


def seed_pieces(words: Counter, longest: int = 16) -> LogProbs:
    """All letters, and all substrings that occur twice and go on in two ways."""
    letters, occurrences, continuations = Counter(), Counter(), defaultdict(set)
    for word, count in words.items():
        for letter in word:
            letters[letter] += count
        for start in range(len(word)):
            for end in range(start + 2, min(len(word), start + longest) + 1):
                occurrences[word[start:end]] += 1
                continuations[word[start:end]].add(word[end : end + 1])
    weights = dict(letters)
    repeated = [s for s, n in occurrences.items() if n > 1 and len(continuations[s]) > 1]
    weights |= {s: occurrences[s] * len(s) for s in repeated}
    total = sum(weights.values())
    return {piece: math.log(weight / total) for piece, weight in weights.items()}


def em_round(words: Counter, logp: LogProbs) -> LogProbs:
    """One E step and one M step; pieces expected less than half a time disappear."""
    expected = expected_counts(words, logp)
    kept = {piece: expected[piece] for piece in logp if expected[piece] >= 0.5}
    total = digamma(sum(kept.values()))
    return {piece: digamma(count) - total for piece, count in kept.items()}


def prune(words: Counter, logp: LogProbs, size: int, as_library: bool) -> LogProbs:
    """Keep the letters, and of the other pieces those whose loss would hurt most."""
    used = Counter()
    for word, count in words.items():
        for piece in viterbi(word, logp):
            used[piece] += count
    total = sum(used.values())
    kept, losses = {}, {}
    for piece in logp:
        if len(piece) == 1:
            kept[piece] = logp[piece]
        elif used[piece] and viterbi(piece, logp) == [piece]:
            alternatives = viterbi(piece, logp, without=piece)
            added = len(logp) if as_library else len(alternatives) - 1
            grown = total + used[piece] * added
            after = sum(math.log((used[a] + used[piece]) / grown) for a in alternatives)
            losses[piece] = used[piece] * (math.log(used[piece] / total) - after)
    dearest = sorted(losses, key=losses.get, reverse=True)
    return kept | {piece: logp[piece] for piece in dearest[: max(0, size - len(kept))]}


def train_unigram(words: Counter, size: int, as_library: bool = True) -> LogProbs:
    """Learn a Unigram vocabulary; sizes count the unknown token, as in the library."""
    logp, target = seed_pieces(words), size * 11 // 10 - 1
    while True:
        logp = em_round(words, em_round(words, logp))
        if len(logp) <= target:
            break
        three_quarters = int((len(logp) + 1) * 0.75) - 1
        logp = prune(words, logp, max(target, three_quarters), as_library)
    rarest = min(logp.values())
    letters = sorted({letter for word in words for letter in word})
    final = {letter: logp.get(letter, rarest) for letter in letters}  # none is thrown out
    for piece in logp:
        if len(final) < size - 1:
            final.setdefault(piece, logp[piece])
    return final
