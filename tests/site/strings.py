"""Texts on which page and library have to agree: chosen ones, and mixtures from a fixed seed."""

import random
import unicodedata

chosen = [
    "",
    " ",
    "  ",
    "\n",
    "\n\n\n",
    "\t\tx",
    "This is some text",
    "Generative AI is transforming software.",
    "I'm sure they'll say we've done it; he'd say it's 'tis don'T I'LL I'Ve",
    "untangling tokenization antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis",
    "SolidGoldMagikarp TheNitromeFan davidjl rawdownloadcloneembedreportprint",
    "trailing spaces   ",
    "   leading spaces",
    "a  b   c    d\t\te \t f\n\n g \n\n\n  h",
    "line one\nline two\r\nline three\rline four",
    "0 1 12 123 1234 12345 123456789012345678901234567890",
    "3.14159 -1e-9 0x1F 1,000,000 50% ½ ² Ⅷ ٣٤٥ १२३ 一二三",
    "def f(x, *args):\n\tif x:\n\t\treturn {'a': x ** 2}  # comment\n    raise ValueError(f\"{x!r}\")\n",
    "SELECT * FROM t WHERE a <> 'b' AND c >= 10; -- drop",
    "for (let i = 0; i < 10; ++i) { a[i] ??= `${i}`; }",
    "https://example.org/a/b?c=d&e=f#g user@example.org C:\\temp\\new",
    "snake_case camelCase PascalCase SCREAMING_SNAKE kebab-case",
    "!!!??!!... --- ___ *** ==> <=> :-) ¯\\_(ツ)_/¯",
    "-" * 200,
    "a" * 3000,
    "ab" * 1500,
    "漢字" * 800,
    " " * 500 + "x",
    "\n" * 300,
    "word " * 300,
    "\u00a0non\u00a0breaking\u00a0 spaces\u00a0",
    "thin\u2009hair\u200afigure\u2007ideographic\u3000en\u2002em\u2003narrow\u202fmath\u205f ogham\u1680x",
    "zero\u200bwidth\u200cnon\u200djoiner\u2060word\ufeffbom\u180evowel",
    "line\u2028paragraph\u2029next\u0085line",
    "\x00\x01\x1b[31m\x7f \x1c\x1d\x1e\x1f \x0b\x0c x",
    "\ufeffbyte order mark",
    # Where JavaScript's own idea of white space would cut otherwise:
    "!\ufeff! \ufeff\ufeff  \ufeffx\ufeff \ufeff",
    "!\u0085! \u0085\u0085  \u0085x\u0085 \u0085",
    "!\x1c! \x1c\x1d\x1e\x1f  \x1cx !\u180e! \u180e\u180e !\u200b! \u200b\u200b",
    "soft\u00adhyphen",
    "\ufffd \ufffe \uffff \U0010ffff \ue000 \U000f0000",
    "😀 😀😀 🤗hug ❤️ ☺ ✌🏽 👍🏿",
    "👩‍👩‍👧‍👦 👨🏽‍🚀 🏳️‍🌈 🏴‍☠️ 🧑🏻‍❤️‍🧑🏿",
    "🇪🇺🇩🇪🇫🇷 🇯🇵 🏴󠁧󠁢󠁳󠁣󠁴󠁿 1️⃣ #️⃣",
    "e\u0301 é n\u0303 ñ A\u030a Å q\u0307\u0323 ö\u0304",
    "Z\u0351\u036b\u0343\u036aa\u030d\u0345l\u0349g\u031do\u0321",
    "مرحبا بالعالم، كيف حالك؟ ١٢٣",
    "بِسْمِ اللَّهِ الرَّحْمٰنِ الرَّحِيمِ",
    "שלום עולם! בְּרֵאשִׁית בָּרָא אֱלֹהִים",
    "English ועברית and العربية mixed 123 אבג",
    "\u202eoverride\u202c \u2067isolate\u2069 \u200fmark\u200e",
    "人人生而自由，在尊严和权利上一律平等。",
    "すべての人間は、生れながらにして自由であり、ﾊﾝｶｸ も。",
    "모든 인간은 태어날 때부터 자유로우며 \u1112\u1161\u11ab\u1100\u1173\u11af",
    "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกัน",
    "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता",
    "প্রতিটি মানুষ সমমর্যাদা தமிழ் மொழி తెలుగు ಕನ್ನಡ മലയാളം සිංහල ລາວ မြန်မာ ភាសាខ្មែរ",
    "Все люди рождаются свободными. Όλοι οι άνθρωποι γεννιούνται. Ամեն մարդ. ყველა ადამიანი",
    "Tất cả mọi người sinh ra đều được tự do. Żółć, ĳ, ǆ, ß, ﬁ, İıI",
    "ሁሉም ሰው ᏣᎳᎩ ᠮᠣᠩᠭᠣᠯ ᚠᚢᚦ 𐎀𐎁 𒀀𒁀 𓀀𓂀 𝒜𝔅ℂ 𝟙𝟚 𠀀𠀁",
    "∀x∈ℝ: ∑ᵢ xᵢ² ≥ 0 ⇒ √2 ≈ 1.414 ± 10⁻³",
    "<|endoftext|>",
    "before<|endoftext|>after",
    "spaces <|endoftext|> around",
    "<|endoftext|><|endoftext|> \n<|endoftext|>",
    "<|endoftext|",
    "<| endoftext |> <|ENDOFTEXT|> <<|endoftext|>>",
    "two  <|endoftext|>  spaces",
    "don<|endoftext|>'t",
    "<script>alert('x')</script> <!-- --> ]]> &amp; ${x}",
    "\\u003c \\n \\\\ \"quoted\" 'single' `tick`",
]

_BLOCKS = [
    (0x20, 0x7E), (0x20, 0x7E), (0x61, 0x7A), (0x61, 0x7A), (0x30, 0x39), (0xA0, 0x17F), (0x300, 0x36F),
    (0x370, 0x3FF), (0x400, 0x4FF), (0x590, 0x5FF), (0x600, 0x6FF), (0x900, 0x97F), (0xE00, 0xE7F),
    (0x1100, 0x11FF), (0x2000, 0x206F), (0x2070, 0x20CF), (0x2190, 0x21FF), (0x2460, 0x24FF),
    (0x2600, 0x27BF), (0x3000, 0x30FF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0xF900, 0xFAFF),
    (0xFE00, 0xFE0F), (0xFF00, 0xFFEF), (0x1D400, 0x1D7FF), (0x1F1E6, 0x1F1FF), (0x1F300, 0x1F64F),
    (0x1F900, 0x1F9FF), (0x20000, 0x20FFF), (0x0, 0x10FFFF),
]  # fmt: skip
_GLUE = [
    " ", " ", " ", "  ", "\n", "\n\n", "\t", "", "", "'s", "'re", "'LL", "\u200d", "\ufe0f", "<|endoftext|>",
    "\r\n", "\u00a0",
]  # fmt: skip


def mixtures(count: int = 400, seed: int = 20261122) -> list[str]:
    """Random mixtures of scripts, digits, marks, blanks and special tokens; assigned characters only."""
    chance = random.Random(seed)
    texts = []
    for _ in range(count):
        parts = []
        for _ in range(chance.randrange(1, 16)):
            low, high = chance.choice(_BLOCKS)
            run = (chr(chance.randint(low, high)) for _ in range(chance.randrange(1, 9)))
            parts.append("".join(c for c in run if unicodedata.category(c) not in {"Cn", "Cs"}))
            parts.append(chance.choice(_GLUE))
        texts.append("".join(parts))
    return texts
