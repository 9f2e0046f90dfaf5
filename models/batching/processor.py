"""Turns a dialogue into one row: tokens, pixels, and where each promise stands.

The text is written once by `Conversation` and tokenized once; labels and promises come from the characters noted while
it was written, never from counting tokens again. No task and no dataset is known here.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from copy import copy
from dataclasses import replace

import numpy as np
from transformers import PreTrainedTokenizerBase

from ullava.configs.tokens import IMAGE, KEY, OWNERS, SEG, VIDEO
from ullava.datasets import boxes, masks
from ullava.datasets.images import View
from ullava.datasets.structures import MARK, Dialogue, Picture, Promise, Region, Sample, Turn, Video, check_marks
from ullava.models.batching.example import Example, PlacedMedium, PlacedPromise
from ullava.models.batching.layout import MediaLayout, kind_of
from ullava.models.text.chat_template import ChatTemplate
from ullava.models.text.conversation import Conversation
from ullava.models.text.script import Script

Tokens = tuple[np.ndarray, np.ndarray, np.ndarray]
Placed = Mapping[int, PlacedMedium]  # by place in the sample
Target = tuple[np.ndarray | None, np.ndarray | None]  # (H, W) uint8, (4,) float64


class Processor:
    """Writes rows.

    Args:
        tokenizer: a fast one, which says where in the text each token stands.
        conversation: how turns are written.
        layout: what a picture or film becomes, in tokens and pixels.
        mask_view: how a picture lies in the frame that heads look at; None: none does.
        framed: owner tokens whose pictures are drawn in such a frame.
        spelling: our spelling of a token -> the checkpoint's.
        max_length: tokens of a row; whole turns are cut beyond it.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        conversation: Conversation | ChatTemplate,
        *,
        layout: MediaLayout,
        mask_view: View | None = None,
        framed: Collection[str] = (SEG,),
        spelling: Mapping[str, str] | None = None,
        max_length: int = 512,
    ):
        if not tokenizer.is_fast:
            raise ValueError(f"{tokenizer.name_or_path}: expected a fast tokenizer (tokenizer.json), found a slow one")
        self.tokenizer, self.conversation = tokenizer, conversation
        self.layout, self.mask_view, self.framed = layout, mask_view, frozenset(framed)
        self.spelling, self.max_length = dict(spelling or {}), max_length
        self.owners = re.compile("|".join(re.escape(self.spell(token)) for token in OWNERS))
        self.begin = [i for i in tokenizer("")["input_ids"] if i == tokenizer.bos_token_id and conversation.special]
        known, spelt = tokenizer.get_vocab(), {kind: self.spell(t) for kind, t in layout.feature_tokens.items()}
        self.patch_ids = {kind: known[token] for kind, token in spelt.items() if token in known}

    @property
    def view(self) -> View:
        """How a picture lies in the square that the backbone sees."""
        return self.layout.view

    def with_length(self, max_length: int) -> "Processor":
        """The same processor with another bound on a row's tokens."""
        other = copy(self)
        other.max_length = max_length
        return other

    def __call__(self, dialogue: Dialogue, *, answered: bool = True) -> Example:
        """Writes one row; with `answered` false the last answer is left to the model, and no target is drawn.

        Raises:
            ValueError: a text that is too long for its promises, a picture or mask that does not fit its annotation.
        """
        dialogue, script, shown, (ids, supervised, starts) = self.fit(dialogue, answered)
        shift, columns = self.unroll(dialogue, shown, ids)
        width = len(ids) + int(shift[-1])
        input_ids = np.repeat(ids, np.diff(shift, prepend=0) + 1)
        self.fill(input_ids, columns, [dialogue.sample.media[n] for n in shown])
        full = np.zeros(width, bool)
        full[np.arange(len(ids)) + shift] = supervised
        pictures = [n for n in shown if isinstance(dialogue.sample.media[n], Picture)]
        framed = {p.region.picture for p in dialogue.promises if p.token in self.framed} if answered else pictures[-1:]
        media = {
            n: self.place(dialogue.sample.media[n], int(column), n in framed)
            for n, column in zip(shown, columns, strict=True)
        }
        promises = self.promises(dialogue, script, starts, shift, media) if answered else ()
        return Example(dialogue.id, input_ids, full, tuple(media.values()), promises)

    def fit(self, dialogue: Dialogue, answered: bool) -> tuple[Dialogue, Script, list[int], Tokens]:
        """The dialogue without the turns beyond `max_length`, its script, the media it shows, and its tokens."""
        marked = {n for turn in dialogue.turns for n in turn.media}
        marked |= {n for turn in dialogue.sample.turns for n in turn.media} if marked else set()
        loose = [n for n in range(len(dialogue.sample.media)) if n not in marked]
        while True:
            script, shown = self.script(dialogue, loose, answered)
            tokens = self.tokenize(script)
            length = len(tokens[0]) + sum(self.tokens_of(dialogue.sample.media[n]) - 1 for n in shown)
            if length <= self.max_length or not answered:
                return dialogue, script, shown, tokens
            last = len(dialogue.turns) - 1
            if last == 0:
                return dialogue, script, shown, self.cut(dialogue, tokens, length - self.max_length)
            kept = tuple(promise for promise in dialogue.promises if promise.turn < last)
            dialogue = replace(dialogue, turns=dialogue.turns[:last], promises=kept)

    def cut(self, dialogue: Dialogue, tokens: Tokens, surplus: int) -> Tokens:
        """The only turn without its last `surplus` tokens: a long answer may end early, a promise may not."""
        if dialogue.promises or surplus >= tokens[1].sum():
            raise ValueError(
                f"{dialogue.id}: one turn with {len(dialogue.promises)} promises is {surplus} tokens longer than "
                f"max_length {self.max_length}; raise training.max_length or shorten the text"
            )
        ids, supervised, starts = (values[: len(values) - surplus] for values in tokens)
        return ids, supervised, starts

    def script(self, dialogue: Dialogue, loose: Sequence[int], answered: bool) -> tuple[Script, list[int]]:
        """The whole text, and the media in the order in which it shows them.

        Media stand where the questions mark them. Those that nothing marks, `loose`, go to the first question:
        pictures before it, videos behind it (u-LLaVA, base_dataset.py).
        """
        media, turns, shown = dialogue.sample.media, [], []
        before, behind = ([n for n in loose if isinstance(media[n], kind)] for kind in (Picture, Video))
        for number, turn in enumerate(dialogue.turns):
            if turn.media:
                check_marks(turn, media, f"{dialogue.id}: turn {number}")
            words = MARK.split(self.spell(turn.question)) if turn.media else [self.spell(turn.question)]
            marked = [words[0], *(part for n, text in zip(turn.media, words[1:], strict=True) for part in (n, text))]
            if number == 0:
                marked = [*(part for n in before for part in (n, "\n")), *marked, *behind]
            written = [part for part in marked if isinstance(part, int) or self.conversation.words]
            texts = [self.layout.tokens(media[p]).written if isinstance(p, int) else p for p in written]
            question = "".join(self.spell(t) if isinstance(p, int) else t for p, t in zip(written, texts, strict=True))
            turns.append(Turn(question, self.spell(turn.answer)))
            shown += [part for part in marked if isinstance(part, int)]
        script = self.conversation.write(turns, answered=answered)
        if not script.text:
            raise ValueError(f"{dialogue.id}: nothing to write; conversation plain is for pictures and their captions")
        return script, shown

    def spell(self, text: str) -> str:
        """`text` with our tokens in the checkpoint's spelling."""
        for ours, theirs in self.spelling.items():
            text = text.replace(ours, theirs)
        return text

    def unspell(self, text: str) -> str:
        """Inverse of `spell`."""
        for ours, theirs in self.spelling.items():
            text = text.replace(theirs, ours) if theirs else text
        return text

    def tokenize(self, script: Script) -> Tokens:
        """Ids, whether each is supervised, and the character each begins at; all (L,), patches not yet unrolled."""
        ids, starts, ends = self.encode(script.text)
        torn = [first for first, _ in script.answers if ((starts < first) & (first < ends)).any()]
        if torn:  # an answer's first token must not own what its question ends with: generation begins behind that
            borders = [0, *torn, len(script.text)]
            parts = [self.encode(script.text[a:b], a) for a, b in zip(borders, borders[1:], strict=False)]
            ids, starts, ends = (np.concatenate(column) for column in zip(*parts, strict=True))
        supervised = np.zeros(len(starts), bool)
        for first, last in script.answers:
            supervised |= (starts >= first) & (starts < last) & (ends > starts)
        return ids, supervised, starts

    def encode(self, text: str, offset: int = 0) -> Tokens:
        """Ids, and the characters at which each begins and ends, counted from `offset`; what begins a text first.

        Only the begin is the tokenizer's to add: an end behind an open question would end the answer before it begins.
        """
        encoded = self.tokenizer(text, return_offsets_mapping=True, add_special_tokens=False)
        starts, ends = np.array(encoded["offset_mapping"], int).reshape(-1, 2).T + offset
        begin = self.begin if offset == 0 else []
        starts, ends = (np.concatenate([np.zeros(len(begin), int), places]) for places in (starts, ends))
        return np.array([*begin, *encoded["input_ids"]], int), starts, ends

    def tokens_of(self, medium: Picture | Video) -> int:
        """How many tokens stand in a row for the one that stands in a text."""
        return len(self.layout.tokens(medium).inside)

    def fill(self, input_ids: np.ndarray, columns: np.ndarray, media: Sequence[Picture | Video]) -> None:
        """Writes the tokens among a medium's features that carry none, where a layout has such."""
        for medium, column in zip(media, columns, strict=True):
            tokens = self.layout.tokens(medium)
            if set(tokens.inside) != {tokens.feature}:
                spelt = [self.spell(token) for token in tokens.inside]
                input_ids[column : column + len(spelt)] = self.tokenizer.convert_tokens_to_ids(spelt)

    def unroll(self, dialogue: Dialogue, shown: Sequence[int], ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How far each token moves when every patch token becomes many (L,), and the columns of the shown media."""
        media = [dialogue.sample.media[n] for n in shown]
        patches = np.zeros(len(ids), bool)
        for kind, token in self.layout.feature_tokens.items():
            expected = sum(kind_of(medium) == kind for medium in media)
            if expected and kind not in self.patch_ids:
                raise ValueError(f"{dialogue.id}: shows a {kind}, for which this model has no token {token}")
            here = ids == self.patch_ids.get(kind, -1)
            if here.sum() != expected:
                raise ValueError(
                    f"{dialogue.id}: {token} stands {here.sum()} times in a text with {expected} {kind}; "
                    "a text must not hold it, the processor writes it"
                )
            patches |= here
        places = np.flatnonzero(patches)
        extra = np.zeros(len(ids), int)
        extra[places] = [self.tokens_of(medium) - 1 for medium in media]
        shift = extra.cumsum()
        return shift, places + shift[places] - extra[places]

    def place(self, medium: Picture | Video, column: int, framed: bool) -> PlacedMedium:
        """Reads a medium; the heads' frame is drawn where something is promised of it, or may be."""
        opened, size = self.layout.open(medium)
        if isinstance(medium, Video):
            return PlacedMedium(VIDEO, column, self.layout.pixels(opened), None, size, f"{medium.path}:{medium.clip}")
        frame = self.mask_view.apply(opened) if framed and self.mask_view else None
        return PlacedMedium(IMAGE, column, self.layout.pixels(opened), frame, size, key_of(medium))

    def promises(
        self, dialogue: Dialogue, script: Script, starts: np.ndarray, shift: np.ndarray, media: Placed
    ) -> tuple[PlacedPromise, ...]:
        """Where each promise stands, and its target."""
        characters = [
            first + match.start()
            for first, last in script.answers
            for match in self.owners.finditer(script.text[first:last])
        ]
        columns = np.searchsorted(starts, characters, side="right") - 1  # a published token may own the space before it
        targets: dict[int, Target] = {}
        return tuple(
            self.keep(dialogue, promise, int(column + shift[column]), media, targets)
            for promise, column in zip(dialogue.promises, columns, strict=True)
        )

    def keep(
        self, dialogue: Dialogue, promise: Promise, column: int, media: Placed, targets: dict[int, Target]
    ) -> PlacedPromise:
        """One promise with its target; `drawn` holds those of the regions that are promised already."""
        region = promise.region
        if region.picture not in media:
            raise ValueError(
                f"{dialogue.id}: {promise.token} is promised of medium {region.picture}, which is not shown"
            )
        medium = media[region.picture]
        if medium.kind == VIDEO:
            raise ValueError(f"{dialogue.id}: {promise.token} is promised of a video; heads see pictures")
        place = list(media).index(region.picture)
        words = tuple(tuple(self.tokenizer(word, add_special_tokens=False)["input_ids"]) for word in promise.words)
        if promise.token == KEY:  # a word, that is drawn nowhere
            return PlacedPromise(KEY, column, place, None, None, words, promise.turn)
        if id(region) not in targets:
            targets[id(region)] = self.draw(dialogue, region, medium)
        return PlacedPromise(promise.token, column, place, *targets[id(region)], words, promise.turn)

    def draw(self, dialogue: Dialogue, region: Region, medium: PlacedMedium) -> Target:
        """A region's mask, and its box as fractions of the picture."""
        mask, box = None, region.box
        if region.mask is not None:
            mask = region.mask.draw()
            masks.check_size(mask, medium.size, dialogue.id)
            box = box or boxes.box_of(mask)
            mask = self.without_ignored(mask.astype(np.uint8), dialogue.sample, region)
        if box is not None:
            height, width = medium.size
            box = np.asarray(box, np.float64) / (width, height, width, height)
        return mask, box

    def without_ignored(self, mask: np.ndarray, sample: Sample, region: Region) -> np.ndarray:
        """(H, W) uint8, with `masks.IGNORED` where the sample's pixels belong to nothing."""
        if sample.ignored is None or region.picture != 0:
            return mask
        ignored = sample.ignored.draw()
        masks.check_size(ignored, mask.shape, sample.id)
        return np.where(ignored, np.uint8(masks.IGNORED), mask)


def key_of(picture: Picture) -> str:
    """The name under which a picture's features are kept."""
    return f"{picture.path}{' mirrored' if picture.mirrored else ''}"
