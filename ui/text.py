"""Text of others, made safe to look at."""


def visible(text: str) -> str:
    r"""`text` with everything that cannot be seen written out, as in `\n`, `\x1b` or `\u202e`.

    Line breaks cannot fake a line of a log, escape sequences reach no terminal, and nothing turns the reading
    order round.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def visible_lines(text: str) -> str:
    """`visible`, with the lines and the tabs that the text has."""
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join("\t".join(map(visible, line.split("\t"))) for line in lines)
