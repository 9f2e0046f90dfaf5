"""The table of what was kept of own data, for which tasks, and what was left out and why."""

from collections.abc import Mapping, Sequence

from ullava.preparing.own_data.pages import Page


def count_table(name: str, pages: Sequence[Page], files: Mapping[str, str], left_out: Mapping[str, int]) -> list[str]:
    """Lines of a table: objects, what was kept of them, what was left out.

    Args:
        files: the names of the files that were written, by what they hold.
        left_out: reason -> objects that were not taken over.
    """
    pairs = [(page, instance) for page in pages for instance in page.instances]
    masked = [(page, instance) for page, instance in pairs if instance.segmentation]
    asked = [
        (page, instance)
        for page, instance in pairs
        if instance.phrases or ("phrases" not in files and page.alone(instance))
    ]
    way = "by its phrase" if "phrases" in files else "by its class, the only one in its picture"
    obstacle = "no phrase" if "phrases" in files else "several of its class in a picture"
    rows = [
        (len(masked), "kept", "with a mask"),
        (len(pairs) - len(masked), "kept", "box only: no mask to learn, rec alone"),
        (len(asked), "asked", f"{way}: {'res, ' if masked else ''}rec"),
        (len(pairs) - len(asked), "not asked", obstacle + (": semantic alone" if "classes" in files else "")),
        *((count, "left out", reason) for reason, count in left_out.items()),
    ]  # fmt: skip
    empty = sum(not page.instances for page in pages)
    rows.append((empty, "left out", "pictures without an object"))
    lines = [f"  {count:>7}  {what:<10} {reason}" for count, what, reason in rows if count]
    return [f"{name}: {len(pages)} pictures, {len(pairs)} objects", *lines]
