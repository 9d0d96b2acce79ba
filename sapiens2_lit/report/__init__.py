"""One page that says how good a model is: `sapiens2-lit test ... --report DIR`."""

from sapiens2_lit.report.collect import HtmlReport

__all__ = ["HtmlReport"]
