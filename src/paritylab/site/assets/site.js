// What Material leaves out for keyboards and screen readers: a name for the search, and a way to
// scroll wide tables without a mouse.
const boxes = ".md-typeset__scrollwrap, .md-typeset pre > code";

function reach() {
  for (const box of document.querySelectorAll(boxes)) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }
}

document$.subscribe(() => {
  document.querySelector(".md-search")?.setAttribute("aria-label", "Search");
  reach();
  setTimeout(reach, 100);
});
addEventListener("resize", reach);
