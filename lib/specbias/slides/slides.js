// Starts the slides: first the formulas are set, then texts are made to fit, then reveal.js takes over.
(() => {
  "use strict";
  const SMALLEST = 0.6; // share of its size to which a slide's text may shrink before the slide scrolls
  const slides = document.querySelector(".slides");

  const overflows = (box) => box.scrollHeight > box.clientHeight || box.scrollWidth > box.clientWidth;

  function fit(slide) {
    const body = slide.querySelector(".body");
    for (let size = 1; overflows(slide) || overflows(body); size -= 0.02) {
      if (size < SMALLEST) {
        slide.classList.add("scrolls");
        return;
      }
      slide.style.fontSize = `${size}em`;
    }
  }

  const turnDark = () => {
    const root = document.documentElement;
    root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
  };

  MathJax.startup.promise.then(() => {
    slides.classList.add("measured"); // all of them are laid out, below one another
    [...slides.children].forEach(fit);
    slides.classList.remove("measured");
    // The formulas' style goes with the notes into the speaker's window.
    const style = document.getElementById("MJX-SVG-styles");
    for (const notes of style ? slides.querySelectorAll(".notes:has(mjx-container)") : []) {
      notes.append(style.cloneNode(true));
    }
    Reveal.initialize({
      width: 1280, height: 720, margin: 0, center: false, display: "flex", scrollActivationWidth: null,
      hash: true, slideNumber: "c/t", controlsTutorial: false, transition: "none",
      pdfMaxPagesPerSlide: 1, plugins: [RevealNotes, RevealZoom],
      keyboardCondition: (event) => !(event.target instanceof HTMLButtonElement && event.key === " "),
    });
    Reveal.addKeyBinding({ keyCode: 68, key: "D", description: "Dark, or light again" }, turnDark);
    // After a slider was moved with the mouse, the arrow keys are the slides' again.
    for (const slider of slides.querySelectorAll("input")) {
      slider.addEventListener("pointerup", () => slider.blur());
    }
  });
})();
