// The map's frame: regl-scatterplot alone in a sandbox. regl writes its drawing code at run time, which a strict content
// security policy forbids; here it may, where there is no network, no token and no text (docs/explorer.md).
import createScatterplot, { createRenderer } from 'regl-scatterplot';
import type { FromFrame, ToFrame } from './map-messages';

const STEP = 0.15; // of the view, for one press of an arrow key
const NEAR = 0.3; // camera distance at a selected point; 1 shows all
const MANY = 20_000; // points; more of them are drawn smaller
const PAUSE_MS = 50;
const MAX_SIDE = 4096; // pixels of the drawing; every WebGL can do that
const canvas = document.querySelector('canvas')!;

let heard = false; // the page has said something
let points = { x: new Float32Array(), y: new Float32Array(), category: new Uint8Array() };
let selected: number | null = null;

function say(message: FromFrame): void {
  parent.postMessage(message, '*'); // the frame's origin is opaque, so it cannot know the page's; nothing secret is said
}

/** Whether there is no graphics card behind WebGL; then points are drawn more simply, and the map stays fluent. */
function drawnByProcessor(): boolean {
  const gl = document.createElement('canvas').getContext('webgl');
  const about = gl?.getExtension('WEBGL_debug_renderer_info');
  return /swiftshader|llvmpipe|software|basic render/i.test(String((about && gl?.getParameter(about.UNMASKED_RENDERER_WEBGL)) ?? ''));
}

function where(point: number): [number, number] {
  return [points.x[point]!, points.y[point]!];
}

function start(): void {
  const renderer = createRenderer();
  const fit = () => {
    if (innerWidth && innerHeight) renderer.resize(Math.min(innerWidth, MAX_SIDE), Math.min(innerHeight, MAX_SIDE));
  };
  fit(); // its own size would end at what the system says is the screen, which is not true everywhere
  new ResizeObserver(fit).observe(canvas); // before the plot's own observer, which draws
  const simple = drawnByProcessor();
  const plot = createScatterplot({
    renderer,
    canvas,
    width: 'auto',
    height: 'auto',
    performanceMode: simple, // squares without blending
    pointSize: 3,
    pointSizeSelected: 6,
    pointOutlineWidth: 3,
    opacity: simple ? 1 : 0.75, // without blending, less would be another color
    opacityInactiveMax: 1,
    opacityInactiveScale: 1,
    colorBy: 'valueA',
    pointColor: ['#888888'],
    spatialIndexUseWorker: false,
    lassoOnLongPress: false,
    lassoInitiator: false,
    ...{ actionKeyMap: {} }, // no lasso, no rotation; not yet in the types
    deselectOnDblClick: false,
    deselectOnEscape: false,
  });
  let drawn = Promise.resolve();

  const at = (point: number): [number, number] | null => plot.getScreenPosition(point) ?? null;
  const tellView = () => {
    const [x, y] = plot.get('cameraTarget') as [number, number];
    say({ type: 'view', center: [x, y], selected: selected === null ? null : at(selected) });
  };
  let asked = 0;
  plot.subscribe('view', () => {
    cancelAnimationFrame(asked);
    asked = requestAnimationFrame(tellView);
  });
  plot.subscribe('pointOver', (point) => {
    const position = at(point);
    if (position) say({ type: 'over', point, at: position });
  });
  plot.subscribe('pointOut', () => say({ type: 'out' }));
  plot.subscribe('select', ({ points: [point] }) => {
    if (point !== undefined) say({ type: 'pick', point });
  });
  let down: [number, number] = [0, 0];
  canvas.addEventListener('mousedown', (event) => { down = [event.clientX, event.clientY]; });
  canvas.addEventListener('click', (event) => { // the plot is silent about a click on what is selected already
    const still = Math.hypot(event.clientX - down[0], event.clientY - down[1]) < 4;
    if (still && selected !== null && plot.get('hoveredPoint') === selected) say({ type: 'pick', point: selected });
  });
  plot.subscribe('deselect', () => {
    if (selected !== null) plot.select([selected], { preventEvent: true }); // a click beside the points
  });

  const move = (dx: number, dy: number, zoom = 1) => {
    const [x, y] = plot.get('cameraTarget') as [number, number];
    const distance = plot.get('cameraDistance') as number;
    void plot.zoomToLocation([x + dx * distance, y + dy * distance], distance * zoom, { transition: zoom !== 1, transitionDuration: 150 });
  };
  const keys: Record<string, () => void> = {
    ArrowLeft: () => move(-STEP, 0),
    ArrowRight: () => move(STEP, 0),
    ArrowUp: () => move(0, STEP),
    ArrowDown: () => move(0, -STEP),
    '+': () => move(0, 0, 0.7),
    '=': () => move(0, 0, 0.7),
    '-': () => move(0, 0, 1.4),
    '0': () => plot.reset(),
  };
  canvas.addEventListener('keydown', (event) => {
    const act = event.ctrlKey || event.metaKey || event.altKey ? undefined : keys[event.key];
    if (act) {
      event.preventDefault();
      act();
    }
  });

  const select = async (point: number | null, zoom: boolean) => {
    selected = point;
    if (point === null) plot.deselect({ preventEvent: true });
    else {
      plot.select([point], { preventEvent: true });
      if (zoom) await plot.zoomToLocation(where(point), NEAR, { transition: false });
    }
    tellView();
  };
  const hear = async (message: ToFrame) => {
    if (message.type === 'points') {
      points = message;
      plot.set({ pointSize: message.x.length > MANY ? (simple ? 2 : 3) : 4 });
      await plot.draw({ x: message.x, y: message.y, valueA: message.category }, { zDataType: 'categorical' });
      tellView();
    } else if (message.type === 'style') {
      plot.set({ pointColor: message.colors, pointColorActive: message.ring, pointColorHover: message.ring, backgroundColor: message.background });
      document.body.style.background = message.background;
    } else if (message.type === 'select') await select(message.point, message.zoom);
    else if (message.type === 'only') {
      if (message.category === null) await plot.unfilter({ preventEvent: true });
      else await plot.filter([...points.category.keys()].filter((point) => points.category[point] === message.category), { preventEvent: true });
    } else if (message.type === 'zoom') move(0, 0, message.factor);
    else plot.reset();
  };
  addEventListener('message', (event: MessageEvent<ToFrame>) => {
    if (event.source !== parent) return;
    heard = true;
    drawn = drawn.then(() => hear(event.data)).catch(failed); // one after another
  });
}

function failed(error: unknown): void {
  say({ type: 'failed', message: error instanceof Error ? error.message : String(error) });
}

/** Until the page has answered: it may not listen yet. */
function greet(): void {
  if (heard) return;
  say({ type: 'ready' });
  setTimeout(greet, PAUSE_MS);
}

/** Not before there is room: a canvas of no size cannot be drawn on. */
function begin(): void {
  if (!innerWidth || !innerHeight) return void setTimeout(begin, PAUSE_MS); // a frame's first size comes without an event
  try {
    start();
    greet();
  } catch (error) {
    failed(error); // no WebGL
  }
}

begin();
