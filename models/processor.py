"""Turns a dialogue into one row: tokens, pixels, and where each promise stands.

The text is written once by `Conversation` and tokenized once; labels and promises come from the characters noted while
it was written, never from counting tokens again. No task and no dataset is known here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from transformers import PreTrainedTokenizerBase

from ullava.configs.tokens import BEGIN, END, IMAGE, OWNERS, PATCH, SEG, VIDEO
from ullava.datasets import boxes, images, masks, videos
from ullava.datasets.images import View
from ullava.datasets.structures import Dialogue, Picture, Promise, Turn, Video
from ullava.models.conversation import Conversation, Script


@dataclass(frozen=True, slots=True)
class PlacedPromise:
    """A promise in a row: the column of its token, its picture, and its target where one is known."""

    token: str
    column: int
    picture: int
    mask: np.ndarray | None  # (H, W) uint8
    box: np.ndarray | None  # (4,) float32 in the vision tower's square, 0..1


@dataclass(frozen=True, slots=True)
class PlacedMedium:
    """A picture or video in a row.

    Attributes:
        column: of its first patch token.
        pixels: (S, S, 3) or (F, S, S, 3) uint8, as the vision tower sees it.
        frame: (S, S, 3) uint8, as SAM sees it; None where nothing is promised of it.
        size: (H, W) of the original.
    """

    kind: str
    column: int
    pixels: np.ndarray
    frame: np.ndarray | None
    size: tuple[int, int]
    key: str


@dataclass(frozen=True, slots=True)
class Row:
    """One dialogue, ready to be collated: ids (L,), supervised (L,) bool."""

    id: str
    input_ids: np.ndarray
    supervised: np.ndarray
    media: tuple[PlacedMedium, ...]
    promises: tuple[PlacedPromise, ...]


class Processor:
    """Writes rows.

    Args:
        tokenizer: a fast one, which says where in the text each token stands.
        conversation: how turns are written.
        view: what the vision tower sees of a picture; patches: how many tokens that becomes.
        frames: of a video; it becomes frames + patches tokens.
        mask_view: what SAM sees; None without a mask head.
        spelling: our spelling of a token -> the checkpoint's.
        max_length: tokens of a row; whole turns are cut beyond it.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        conversation: Conversation,
        *,
        view: View,
        patches: int,
        frames: int = 8,
        mask_view: View | None = None,
        spelling: Mapping[str, str] | None = None,
        max_length: int = 512,
    ):
        if not tokenizer.is_fast:
            raise ValueError(f"{tokenizer.name_or_path}: expected a fast tokenizer (tokenizer.json), found a slow one")
        self.tokenizer, self.conversation = tokenizer, conversation
        self.view, self.patches, self.frames, self.mask_view = view, patches, frames, mask_view
        self.spelling, self.max_length = dict(spelling or {}), max_length
        self.owners = re.compile("|".join(re.escape(self.spell(token)) for token in OWNERS))
        self.patch_ids = {kind: tokenizer.convert_tokens_to_ids(token) for kind, token in PATCH.items()}

    def __call__(self, dialogue: Dialogue, *, answered: bool = True) -> Row:
        """Writes one row; with `answered` false the last answer is left to the model, and no target is drawn.

        Raises:
            ValueError: a text that is too long for its promises, a picture or mask that does not fit its annotation.
        """
        dialogue, script, (ids, supervised, starts) = self.fit(dialogue, answered)
        shift, columns = self.unroll(dialogue, ids)
        width = len(ids) + int(shift[-1])
        input_ids = np.repeat(ids, np.diff(shift, prepend=0) + 1)
        full = np.zeros(width, bool)
        full[np.arange(len(ids)) + shift] = supervised
        media = tuple(self.place(medium, column, dialogue, answered) for medium, column in columns)
        promises = self.promises(dialogue, script, starts, shift, media) if answered else ()
        return Row(dialogue.id, input_ids, full, media, promises)

    def fit(self, dialogue: Dialogue, answered: bool):
        """The dialogue without the turns beyond `max_length`, its script and its tokens."""
        while True:
            script = self.script(dialogue, answered)
            tokens = self.tokenize(script)
            length = len(tokens[0]) + sum(self.tokens_of(medium) - 1 for medium in dialogue.sample.media)
            if length <= self.max_length or not answered:
                return dialogue, script, tokens
            last = len(dialogue.turns) - 1
            if last == 0:
                return dialogue, script, self.cut(dialogue, tokens, length - self.max_length)
            kept = tuple(promise for promise in dialogue.promises if promise.turn < last)
            dialogue = replace(dialogue, turns=dialogue.turns[:last], promises=kept)

    def cut(self, dialogue: Dialogue, tokens, surplus: int):
        """The only turn without its last `surplus` tokens: a long answer may end early, a promise may not."""
        if dialogue.promises or surplus >= tokens[1].sum():
            raise ValueError(
                f"{dialogue.id}: one turn with {len(dialogue.promises)} promises is {surplus} tokens longer than "
                f"max_length {self.max_length}; raise training.max_length or shorten the text"
            )
        return tuple(values[: len(values) - surplus] for values in tokens)

    def script(self, dialogue: Dialogue, answered: bool) -> Script:
        """The whole text; pictures stand before the first question, a video behind it (u-LLaVA, base_dataset.py)."""
        before = "".join(
            f"{BEGIN[IMAGE]}{PATCH[IMAGE]}{END[IMAGE]}\n" for m in dialogue.sample.media if isinstance(m, Picture)
        )
        behind = "".join(
            f"{BEGIN[VIDEO]}{PATCH[VIDEO]}{END[VIDEO]}" for m in dialogue.sample.media if isinstance(m, Video)
        )
        turns = [Turn(self.spell(turn.question), self.spell(turn.answer)) for turn in dialogue.turns]
        turns[0] = replace(turns[0], question=before + turns[0].question + behind)
        return self.conversation.write(turns, answered=answered)

    def spell(self, text: str) -> str:
        """`text` with our tokens in the checkpoint's spelling."""
        for ours, theirs in self.spelling.items():
            text = text.replace(ours, theirs)
        return text

    def unspell(self, text: str) -> str:
        """Inverse of `spell`."""
        for ours, theirs in self.spelling.items():
            text = text.replace(theirs, ours)
        return text

    def tokenize(self, script: Script) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Ids, whether each is supervised, and the character each begins at; all (L,), patches not yet unrolled."""
        encoded = self.tokenizer(script.text, return_offsets_mapping=True)
        starts, ends = np.array(encoded["offset_mapping"]).reshape(-1, 2).T
        supervised = np.zeros(len(starts), bool)
        for first, last in script.answers:
            supervised |= (starts >= first) & (starts < last) & (ends > starts)
        return np.array(encoded["input_ids"]), supervised, starts

    def tokens_of(self, medium: Picture | Video) -> int:
        """How many patch tokens a medium becomes."""
        return self.patches + (self.frames if isinstance(medium, Video) else 0)

    def unroll(self, dialogue: Dialogue, ids: np.ndarray):
        """How far each token moves when every patch token becomes many (L,), and the column of each medium's first."""
        shift, columns = np.zeros(len(ids), int), []
        for kind, patch in self.patch_ids.items():
            media = [m for m in dialogue.sample.media if isinstance(m, Video) == (kind == VIDEO)]
            found = np.flatnonzero(ids == patch)
            if len(found) != len(media):
                raise ValueError(
                    f"{dialogue.id}: {PATCH[kind]} stands {len(found)} times in a text with {len(media)} {kind}; "
                    "a text must not hold it, the processor writes it"
                )
            for medium, index in zip(media, found, strict=True):
                shift[index:] += self.tokens_of(medium) - 1
                columns.append((medium, index))
        return shift, [(medium, int(index + (shift[index - 1] if index else 0))) for medium, index in columns]

    def place(self, medium: Picture | Video, column: int, dialogue: Dialogue, answered: bool) -> PlacedMedium:
        """Reads a medium; SAM's frame is drawn where a mask is promised or may be."""
        if isinstance(medium, Video):
            frames = videos.read_frames(medium, self.frames)
            pixels = np.stack([self.view.apply(frame) for frame in frames])
            return PlacedMedium(VIDEO, column, pixels, None, frames.shape[1:3], f"{medium.path}:{medium.clip}")
        picture = images.read(medium)
        wanted = self.mask_view is not None and (not answered or SEG in {p.token for p in dialogue.promises})
        frame = self.mask_view.apply(picture) if wanted else None
        return PlacedMedium(IMAGE, column, self.view.apply(picture), frame, picture.shape[:2], str(medium.path))

    def promises(self, dialogue: Dialogue, script: Script, starts, shift, media) -> tuple[PlacedPromise, ...]:
        """Where each promise stands, and its target."""
        said = [
            first + match.start()
            for first, last in script.answers
            for match in self.owners.finditer(script.text[first:last])
        ]
        columns = np.searchsorted(starts, said, side="right") - 1  # a published token may own the space before it
        return tuple(
            self.keep(dialogue, promise, int(column + shift[column]), media)
            for promise, column in zip(dialogue.promises, columns, strict=True)
        )

    def keep(self, dialogue: Dialogue, promise: Promise, column: int, media) -> PlacedPromise:
        """One promise with its drawn mask and its box in the tower's square."""
        region = promise.region
        medium = media[region.picture]
        if medium.kind == VIDEO:
            raise ValueError(f"{dialogue.id}: {promise.token} is promised of a video; heads see pictures")
        mask, box = None, region.box
        if region.mask is not None:
            mask = region.mask.draw()
            masks.check_size(mask, medium.size, dialogue.id)
            box = box or boxes.box_of(mask)
        if box is not None:
            box = np.asarray(self.view.boxes_to([box], medium.size), np.float32)[0]
        return PlacedPromise(
            promise.token, column, region.picture, None if mask is None else mask.astype(np.uint8), box
        )
