"""Text of others in Markdown shows as it is."""

import pytest

from mtl_sharing.utils.markdown import code_span, escaped


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, 0.5 [0.4, 0.6] (n=3) <0.1 & 2 > 1", None),
        ("max_dev_rows", None),
        ("_a_ **b** ~c~ $d$", r"\_a\_ \*\*b\*\* \~c\~ \$d\$"),
        ("<script>", "&lt;script>"),
        ("</td><!-- x --><?php", "&lt;/td>&lt;!-- x -->&lt;?php"),
        ("&lt;b&gt; &#60;", "&amp;lt;b&amp;gt; &amp;#60;"),
        ("[a](b) ![a](b) [a][b]", r"[a]\(b) ![a]\(b) [a]\[b]"),
        ("HTTPS://x.org Www.x.org", r"HTTPS:\//x.org Www\.x.org"),
        ("a|b\\|c", r"a\|b\\\|c"),
        ("a\nb\r\n# c\u2028d\te\x1b[1m", "a b # c d e\\\\x1b[1m"),
    ],
)
def test_what_would_be_markup_is_escaped(text, shown):
    assert escaped(text) == (text if shown is None else shown)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("sst", "`sst`"),
        ("a`b", "``a`b``"),
        ("``", "``` `` ```"),
        ("`a", "`` `a ``"),
        ("a\n```\nb", "````a ``` b````"),
    ],
)
def test_nothing_ends_a_code_span(text, code):
    assert code_span(text) == code
