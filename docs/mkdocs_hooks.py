"""What mkdocs.yml cannot say: the addresses of pyproject.toml, anchors, and links that lead out of docs/.

MkDocs calls these functions while it builds (`make docs`). A page is read where it stands, so it links to
`../ARCHITECTURE.md`; on the site, which has only docs/, such a link leads to the file in the repository.
"""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import Any

from links import ROOT, addresses, anchor, in_repository, with_links


def on_config(config: Any) -> Any:
    """Set the addresses of the site and of the repository, and how a heading gets its anchor."""
    urls = addresses()
    config["site_url"], config["repo_url"] = urls["Documentation"], urls["Source"]
    config["mdx_configs"]["toc"]["slugify"] = lambda heading, separator: anchor(heading)
    return config


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Any) -> str:
    """Return the page with its links to what is not published led to the repository."""
    docs = Path(config["docs_dir"])
    folder = posixpath.dirname(page.file.src_uri)

    def lead(path: str) -> str:
        file = files.get_file_from_path(posixpath.normpath(posixpath.join(folder, path)))
        if file is not None and file.inclusion.is_included():
            return path
        target = (docs / folder / path).resolve()
        # What does not exist stays, for MkDocs to warn of.
        return in_repository(target) if target.exists() and target.is_relative_to(ROOT) else path

    return with_links(markdown, lead)


def on_post_page(output: str, **_: Any) -> str:
    """Return the HTML without what makes the theme's script ask the repository's host for figures."""
    return output.replace(' data-md-component="source"', "")
