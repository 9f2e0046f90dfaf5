"""Words of a caption as the Penn Treebank cuts them, without Java.

Caption scores are defined on the tokens of Stanford's PTBTokenizer (CoreNLP 3.4.1, lower case, punctuation dropped, as
pycocoevalcap calls it). Here one regular expression says what a word is; what it does not match is dropped. On 2560
real captions (COCO, Flickr8k, COCO's sample results) both give the same words; they part on smileys, "c++", "1st,2nd".
"""

import re

# Kept with their period: wherever they stand; only with a capital; only before a number.
ABBREVIATIONS = """
    jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec|mon|tues?|wed|thu(?:rs)?|fri|ala|ariz|calif|
    colo|conn|ct|dak|fla|ga|ind|kans?|ky|md|mich|minn|mo|mont|neb|nev|okla|penn|tenn|va|vt|
    wisc?|wyo|jr|sr|bros|blvd|rd|esq|inc|cos?|corp|pty|ltd|plc|dept|bhd|assn|univ|intl|sys|
    ph|mr|mrs|ms|drs?|profs?|sens?|reps?|attys?|lt|col|gen|messrs|govs?|adm|rev|maj|sgt|cpl|
    pvt|capt|ste?|ave|pres|lieut|hon|brig|co?mdr|pfc|spc|supts?|det|vs|alex|wm|jos|cie|cf|
    etc|al|seq|bldg|ft|mt|est|tel|ext
"""
CAPITAL = "Ark|Del|Ill|La|Mass|Miss|Ore|Pa|Tex|Wash"
NUMBERED = "nos?|prop|figs?"
TOKEN = re.compile(
    rf"""
      </?[a-z][^<>]*> | https?://[^\s()<>"]*[^\s()<>".,!?;:']
    | (?:ph|ed)\.d\. | (?:[a-z]\.)+(?!\w) | [a-z](?:\.[a-z])+(?!\w)            # Ph.D.  U.S.  p.m.  T.V
    | (?:{ABBREVIATIONS}|(?-i:{CAPITAL}))\.(?!\w)
    | (?:{NUMBERED})\.(?=\s?\d)
    | \d+(?:[.,:]\d+)+(?:-[^\W_]+)* | (?<!\w)(?:[+-]?\.\d+|[+-]\d+)             # 1,000  5:30  2.5-inch  .5  -5
    | can(?=not\b) | gon(?=na\b) | wan(?=na\b) | got(?=ta\b) | gim(?=me\b) | lem(?=me\b)
    | [^\W_]+?(?=n't\b) | n't\b | '(?:s|m|d|re|ve|ll)\b                         # is n't   dog 's
    | 'n' | '(?:em|til|cause|n|\d\ds?)(?!\w) | 't(?=is\b|was\b) | y'(?=all) | (?:ol|somethin|dunkin)'
    | ma'am | [dol]'[^\W\d_]+ | (?-i:[A-Z]+(?:&[A-Z]+)+)                       # o'clock  AT&T
    | [^\W_]+(?:(?:[-/@_]|(?<=[^\W\d])\.(?=[^\W\d]))[^\W_]+)*                   # two-year-old  red/white  walks.he
    | [@\#][a-z]\w* | [?!]{{2,}} | _+ | \*+ | [^\w\s'"`.?!,:;\-\U00010000-\U0010ffff]   # no single mark, no emoji
    """,
    re.VERBOSE | re.IGNORECASE,
)
SPELLING = str.maketrans(
    {"’": "'", "´": "'", "‘": "`", "“": '"', "”": '"', "–": " -- ", "—": " -- ", "…": "...", "½": "1/2", "¼": "1/4"}
    | {"¾": "3/4", "€": "$", "£": "#"}
)
BRACKETS = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}


def tokenize(text: str) -> str:
    """The words of `text`, lower case, one space between them; white space of any kind counts as a space.

    Single marks of punctuation, dashes, quotes and emoji are dropped; brackets ("-lrb-") and runs such as "?!" stay, as
    they do in the reference.
    """
    tokens: list[str] = TOKEN.findall(text.translate(SPELLING))
    return " ".join(BRACKETS.get(token, token.lower()) for token in tokens)
