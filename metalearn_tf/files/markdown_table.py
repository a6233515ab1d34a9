"""Tables in Markdown files."""


def markdown_table(head, rows):
    """A Markdown table.

    Args:
        head: the texts above the columns; empty ones for none.
        rows: lists of texts, one for each column; without any, the table is its two first lines.

    Returns:
        Its lines as one text, without a line break at the end.
    """
    return "\n".join(map(markdown_row, (head, ["---"] * len(head), *rows)))


def markdown_row(cells):
    """One line of a Markdown table, of a text for each column."""
    return f"| {' | '.join(cells)} |"
