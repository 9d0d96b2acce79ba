// A picture opens at the size of the window; wheel and buttons zoom, dragging moves, keys change between the views.
(() => {
  const box = document.createElement('dialog'), nav = document.createElement('nav'), image = new Image();
  box.append(nav, image); document.body.append(box);
  let scale = 1, x = 0, y = 0, views = [], shown = 0, held = null;
  const place = () => {
    image.style.transform = `translate(${x}px,${y}px) scale(${scale})`; box.classList.toggle('near', scale >= 3); };
  const fit = () => {
    const w = box.clientWidth, h = box.clientHeight - nav.offsetHeight;
    scale = Math.min(w / image.naturalWidth, h / image.naturalHeight);
    x = (w - scale * image.naturalWidth) / 2; y = nav.offsetHeight + (h - scale * image.naturalHeight) / 2; place(); };
  const zoom = (by, cx = box.clientWidth / 2, cy = box.clientHeight / 2) => {
    const next = Math.min(40, Math.max(.05, scale * by)), k = next / scale;
    x = cx - k * (cx - x); y = cy - k * (cy - y); scale = next; place(); };
  const show = (at, keep) => {
    shown = (at + views.length) % views.length;
    if (!keep) image.onload = fit; else image.onload = null;
    image.src = views[shown].querySelector('img').src;
    for (const button of nav.querySelectorAll('[data-at]')) button.ariaPressed = String(+button.dataset.at === shown); };
  const button = (text, act, at) => {
    const made = document.createElement('button'); made.textContent = text; made.onclick = act;
    if (at !== undefined) made.dataset.at = at; nav.append(made); };
  const open = (figure, at) => {
    views = [...figure.querySelectorAll('.views button')]; nav.replaceChildren();
    const title = document.createElement('b'); title.textContent = figure.querySelector('figcaption').innerText; nav.append(title);
    views.forEach((view, at) => button(view.innerText.trim(), () => show(at, true), at));
    button('+', () => zoom(1.5)); button('\u2212', () => zoom(1 / 1.5));
    button('1:1', () => zoom(1 / scale)); button('fit', fit); button('close', () => box.close());
    box.showModal(); show(at, false); };
  document.addEventListener('click', event => {
    const view = event.target.closest('.views button'); if (!view) return;
    const figure = view.closest('figure'); open(figure, [...figure.querySelectorAll('.views button')].indexOf(view)); });
  box.addEventListener('wheel', event => {
    event.preventDefault(); zoom(Math.exp(-event.deltaY / 400), event.clientX, event.clientY); }, { passive: false });
  image.draggable = false;
  const points = new Map();
  image.addEventListener('pointerdown', event => {
    points.set(event.pointerId, event); image.setPointerCapture(event.pointerId); });
  image.addEventListener('pointermove', event => {
    const before = points.get(event.pointerId); if (!before) return;
    const other = [...points.entries()].find(([id]) => id !== event.pointerId)?.[1];
    if (other) {
      const far = point => Math.hypot(point.clientX - other.clientX, point.clientY - other.clientY);
      zoom(far(event) / Math.max(1, far(before)), other.clientX, other.clientY);
    } else { x += event.clientX - before.clientX; y += event.clientY - before.clientY; place(); }
    points.set(event.pointerId, event); });
  for (const end of ['pointerup', 'pointercancel'])
    image.addEventListener(end, event => points.delete(event.pointerId));
  image.style.touchAction = 'none';
  box.addEventListener('keydown', event => {
    if (event.key === 'ArrowRight') show(shown + 1, true); if (event.key === 'ArrowLeft') show(shown - 1, true);
    if (event.key === '+') zoom(1.5); if (event.key === '-') zoom(1 / 1.5); if (event.key === '0') fit(); });
})();
