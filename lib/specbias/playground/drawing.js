// Drawing a target of one's own into the first picture, with a finger or a mouse. The field with the heights
// does the same from the keyboard.

const DRAWN_HEIGHTS = 33;

function drawable(canvas, page, form) {
  let heights = null, last = null;
  const shareOf = (index) => index / (DRAWN_HEIGHTS - 1);
  const active = () => form.values.target === "own" && page.axes;

  function place(event) {
    const { axes } = page, box = canvas.getBoundingClientRect();
    const share = (event.clientX - box.left - axes.left) / (axes.right - axes.left);
    const [low, high] = axes.y.range;
    const height = low + ((event.clientY - box.top - axes.bottom) / (axes.top - axes.bottom)) * (high - low);
    const index = Math.round(Math.min(1, Math.max(0, share)) * (DRAWN_HEIGHTS - 1));
    return { index, height: Math.min(5, Math.max(-5, height)) };
  }

  // Heights between the last place and this one lie on a line, since a fast finger leaves some out.
  function move(event) {
    const here = place(event), from = last ?? here, steps = Math.max(1, Math.abs(here.index - from.index));
    for (let i = 0; i <= steps; i++) {
      const index = from.index + Math.sign(here.index - from.index) * i;
      heights[index] = from.height + (i / steps) * (here.height - from.height);
    }
    last = here;
    const { low, high } = page.problem, xs = heights.map((_, i) => low + (high - low) * shareOf(i));
    page.axes.line(xs, heights, { color: page.colors.palette[1], width: 1.2 });
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (!active()) return;
    heights = Array.from({ length: DRAWN_HEIGHTS }, (_, i) => between(form.values.heights, shareOf(i)));
    last = null;
    canvas.setPointerCapture(event.pointerId);
    page.drawing = true; // a frame must not wipe away what is being drawn
    move(event);
  });
  canvas.addEventListener("pointermove", (event) => { if (page.drawing) move(event); });
  const end = () => {
    if (!page.drawing) return;
    page.drawing = false;
    form.set("heights", heights.map((height) => Number(height.toFixed(2))));
  };
  canvas.addEventListener("pointerup", end);
  canvas.addEventListener("pointercancel", end);
}
