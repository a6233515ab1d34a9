"""Tables in Markdown files."""


def markdown_table(head, rows):
    """A Markdown table.

    Args:
        head: the headings of the columns; "" for a column without one.
        rows: lists of texts, one text for each column. Without rows, the table has only its first two lines.

    Returns:
        The lines as one text, without a line break at the end.
    """
    return "\n".join(map(markdown_row, (head, ["---"] * len(head), *rows)))


def markdown_row(cells):
    """One line of a Markdown table, from one text for each column."""
    return f"| {' | '.join(cells)} |"
