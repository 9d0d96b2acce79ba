from .collect import HtmlReport

__all__ = ["HtmlReport"]
