// Boxes drawn by dragging, a lamp over normals, a cut-out on a new background, a surface to turn: all in the browser.
(() => {
  const load = source => new Promise(done => { const image = new Image(); image.onload = () => done(image); image.src = source; });
  const pixels = (image, width, height) => {
    const canvas = Object.assign(document.createElement('canvas'), { width, height });
    const context = canvas.getContext('2d', { willReadFrequently: true });
    context.drawImage(image, 0, 0, width, height);
    return context.getImageData(0, 0, width, height).data; };
  const save = (canvas, name) => canvas.toBlob(blob => {
    const link = Object.assign(document.createElement('a'), { href: URL.createObjectURL(blob), download: name });
    link.click(); setTimeout(() => URL.revokeObjectURL(link.href), 1000); });
  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

  function boxes(root) {
    const image = root.querySelector('img'), svg = root.querySelector('svg'), field = () =>
      document.querySelector('#boxes-value textarea, #boxes-value input');
    const width = +root.dataset.width, height = +root.dataset.height, found = [];
    let start = null, drawn = null;
    svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
    const at = event => {
      const frame = svg.getBoundingClientRect();
      return [clamp((event.clientX - frame.left) / frame.width * width, 0, width),
        clamp((event.clientY - frame.top) / frame.height * height, 0, height)]; };
    const send = () => {
      const area = field(); if (!area) return;
      area.value = JSON.stringify(found.map(box => box.map(value => +value.toFixed(1))));
      area.dispatchEvent(new Event('input', { bubbles: true })); };
    const span = (a, b) => [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.abs(a[0] - b[0]), Math.abs(a[1] - b[1])];
    svg.addEventListener('pointerdown', event => {
      start = at(event); svg.setPointerCapture(event.pointerId); event.preventDefault();
      drawn = document.createElementNS('http://www.w3.org/2000/svg', 'rect'); svg.append(drawn); });
    svg.addEventListener('pointermove', event => {
      if (!start) return;
      ['x', 'y', 'width', 'height'].forEach((key, place) => drawn.setAttribute(key, span(start, at(event))[place])); });
    svg.addEventListener('pointerup', event => {
      if (!start) return;
      const box = span(start, at(event)); start = null;
      if (box[2] < 4 || box[3] < 4) drawn.remove(); else { found.push(box); send(); } });
    root.querySelector('.clear').addEventListener('click', () => {
      found.length = 0; svg.replaceChildren(); send(); });
    send();
  }

  async function relight(root) {
    const canvas = root.querySelector('canvas'), lamp = root.querySelector('.lamp'), [photo, map] =
      await Promise.all([load(root.dataset.image), load(root.dataset.normals)]);
    const width = canvas.width = photo.naturalWidth, height = canvas.height = photo.naturalHeight;
    const colors = pixels(photo, width, height), coded = pixels(map, width, height);
    const context = canvas.getContext('2d'), out = context.createImageData(width, height);
    const strength = root.querySelector('.strength'), tint = root.querySelector('.tint'), room = root.querySelector('.room');
    let x = 0.25, y = 0.2, asked = false;
    const draw = () => {
      asked = false;
      const far = 0.35 * Math.max(width, height), light = [1, 3, 5].map(at => parseInt(tint.value.slice(at, at + 2), 16) / 255);
      const power = +strength.value, ambient = +room.value;
      for (let row = 0, i = 0; row < height; row++) for (let column = 0; column < width; column++, i += 4) {
        const a = coded[i] / 127.5 - 1, b = coded[i + 1] / 127.5 - 1, c = coded[i + 2] / 127.5 - 1;
        const lx = x * width - column, ly = row - y * height, norm = Math.hypot(lx, ly, far);
        const known = coded[i + 3] > 0 ? Math.max(0, (a * lx + b * ly + c * far) / norm) * (far / norm) : 0;
        for (let k = 0; k < 3; k++) out.data[i + k] = colors[i + k] * (ambient + power * light[k] * known);
        out.data[i + 3] = 255;
      }
      context.putImageData(out, 0, 0);
      lamp.style.left = 100 * x + '%'; lamp.style.top = 100 * y + '%'; };
    const ask = () => { if (!asked) { asked = true; requestAnimationFrame(draw); } };
    const stage = root.querySelector('.stage');
    const move = event => {
      const frame = canvas.getBoundingClientRect();
      x = clamp((event.clientX - frame.left) / frame.width, 0, 1); y = clamp((event.clientY - frame.top) / frame.height, 0, 1); ask(); };
    stage.addEventListener('pointerdown', event => { stage.setPointerCapture(event.pointerId); move(event); });
    stage.addEventListener('pointermove', event => { if (stage.hasPointerCapture(event.pointerId)) move(event); });
    lamp.addEventListener('keydown', event => {
      const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (step) { event.preventDefault(); x = clamp(x + step[0] / 40, 0, 1); y = clamp(y + step[1] / 40, 0, 1); ask(); } });
    for (const input of [strength, tint, room]) input.addEventListener('input', ask);
    root.querySelector('.save').addEventListener('click', () => save(canvas, 'relit.png'));
    draw();
  }

  async function matte(root) {
    const canvas = root.querySelector('canvas'), cut = await load(root.dataset.cutout), context = canvas.getContext('2d');
    const width = canvas.width = cut.naturalWidth, height = canvas.height = cut.naturalHeight, color = root.querySelector('.color');
    let scene = null;
    const draw = () => {
      context.fillStyle = color.value; context.fillRect(0, 0, width, height);
      if (scene) {
        const scale = Math.max(width / scene.naturalWidth, height / scene.naturalHeight);
        const w = scale * scene.naturalWidth, h = scale * scene.naturalHeight;
        context.drawImage(scene, (width - w) / 2, (height - h) / 2, w, h); }
      context.drawImage(cut, 0, 0); };
    color.addEventListener('input', () => { scene = null; draw(); });
    root.querySelector('.scene').addEventListener('change', async event => {
      const file = event.target.files[0]; if (!file) return;
      const source = URL.createObjectURL(file); scene = await load(source); URL.revokeObjectURL(source); draw(); });
    root.querySelector('.save').addEventListener('click', () => save(canvas, 'composite.png'));
    draw();
  }

  const VERTEX = `attribute vec3 place, color; uniform float yaw, pitch, away, wide; varying vec3 paint;
    void main() {
      vec3 p = vec3(cos(yaw) * place.x + sin(yaw) * place.z, place.y, cos(yaw) * place.z - sin(yaw) * place.x);
      p = vec3(p.x, cos(pitch) * p.y - sin(pitch) * p.z, sin(pitch) * p.y + cos(pitch) * p.z);
      float z = p.z - away, near = .05, far = 20.;
      gl_Position = vec4(2.7 * p.x / wide, 2.7 * p.y, (z * (far + near) + 2. * far * near) / (near - far), -z);
      paint = color; }`;
  const FRAGMENT = 'precision mediump float; varying vec3 paint; void main() { gl_FragColor = vec4(paint, 1.); }';

  function surface(root) {
    const canvas = root.querySelector('canvas'), gl = canvas.getContext('webgl', { antialias: true, alpha: true });
    if (!gl) { root.querySelector('.stage').textContent = 'This browser has no WebGL: download the surface to see it.'; return; }
    const bytes = key => Uint8Array.from(atob(root.dataset[key]), letter => letter.charCodeAt(0));
    const program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind); gl.shaderSource(shader, source); gl.compileShader(shader); gl.attachShader(program, shader); }
    gl.linkProgram(program); gl.useProgram(program); gl.enable(gl.DEPTH_TEST);
    const triangles = new Uint16Array(bytes('triangles').buffer);
    for (const [name, data, type] of [['place', new Int16Array(bytes('positions').buffer), gl.SHORT], ['color', bytes('colors'), gl.UNSIGNED_BYTE]]) {
      const spot = gl.getAttribLocation(program, name);
      gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer()); gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
      gl.enableVertexAttribArray(spot); gl.vertexAttribPointer(spot, 3, type, true, 0, 0); }
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer()); gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, triangles, gl.STATIC_DRAW);
    let view, asked = false;
    const draw = () => {
      asked = false;
      for (const key in view) gl.uniform1f(gl.getUniformLocation(program, key), view[key]);
      gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
      gl.drawElements(gl.TRIANGLES, triangles.length, gl.UNSIGNED_SHORT, 0); };
    const ask = () => { if (!asked) { asked = true; requestAnimationFrame(draw); } };
    const turn = (across, down) => { view.yaw += across; view.pitch = clamp(view.pitch + down, -1.5, 1.5); ask(); };
    const reset = () => { view = { yaw: 0, pitch: 0, away: 2.8, wide: canvas.width / canvas.height }; ask(); };
    canvas.addEventListener('pointerdown', event => { canvas.setPointerCapture(event.pointerId); });
    canvas.addEventListener('pointermove', event => {
      if (canvas.hasPointerCapture(event.pointerId)) turn(event.movementX / 150, event.movementY / 150); });
    canvas.addEventListener('wheel', event => {
      event.preventDefault(); view.away = clamp(view.away * Math.exp(event.deltaY / 800), 1.2, 8); ask(); }, { passive: false });
    canvas.addEventListener('keydown', event => {
      const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (step) { event.preventDefault(); turn(step[0] / 10, step[1] / 10); } });
    root.querySelector('.reset').addEventListener('click', reset);
    reset();
  }

  const kinds = { boxes, relight, matte, surface };
  const start = () => {
    for (const root of document.querySelectorAll('[data-tool]:not([data-ready])')) {
      root.dataset.ready = 'yes'; kinds[root.dataset.tool](root); } };
  new MutationObserver(start).observe(document.documentElement, { childList: true, subtree: true });
  start();
})();
