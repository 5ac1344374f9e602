// An item's importance neighborhood: a small graph, and the same as a table.
import Graph from 'graphology';
import { useEffect, useRef, useState } from 'preact/hooks';
import Sigma from 'sigma';
import { path, query, type Named, type Neighborhood } from './api';
import { Bar, ItemLink, Loading, Panel, Problem, figure, useLoad } from './parts';
import { go, link } from './router';
import { cssColor, useDark } from './theme';

const SIZE = 20;

export function NeighborhoodPanel({ id }: { id: string }) {
  const { data, problem, reload } = useLoad<Neighborhood>(`${path`/v1/items/${id}/neighborhood`}${query({ size: SIZE, hops: 2 })}`);
  return (
    <Panel id="neighborhood" title="Importance neighborhood" aside={<span class="small">share of the visits of random walks; at hop 2, of walks from the item before</span>}>
      {problem && <Problem problem={problem} retry={reload} />}
      {!data && !problem && <Loading />}
      {data && data.nodes.length < 2 && <p class="note">No walk leads from this item to another.</p>}
      {data && data.nodes.length >= 2 && (
        <div class="graph-columns">
          <Picture data={data} />
          <Visits data={data} />
        </div>
      )}
    </Panel>
  );
}

function Visits({ data }: { data: Neighborhood }) {
  const nodes = data.nodes.filter((node) => node.hop > 0).sort((a, b) => a.hop - b.hop || b.visits - a.visits);
  const most = Math.max(...nodes.map((node) => node.visits));
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Visits as a table">
      <table>
        <thead><tr><th scope="col">Item</th><th scope="col" class="number">Hop</th><th scope="col" class="number" colSpan={2}>Visits</th></tr></thead>
        <tbody>
          {nodes.map((node) => (
            <tr key={node.id}>
              <td><ItemLink item={node} /></td>
              <td class="number">{node.hop}</td>
              <td class="bars"><Bar value={node.visits} most={most} /></td>
              <td class="number">{(100 * node.visits).toFixed(1)} %</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Picture({ data }: { data: Neighborhood }) {
  const dark = useDark();
  const box = useRef<HTMLDivElement>(null);
  const [failure, setFailure] = useState(false);
  useEffect(() => {
    if (!box.current) return;
    try {
      const sigma = draw(box.current, data);
      return () => sigma.kill();
    } catch {
      setFailure(true); // no WebGL
      return;
    }
  }, [data, dark]);
  if (failure) return <p class="note">The picture needs WebGL, which this browser does not offer. The table says the same.</p>;
  return <div ref={box} class="graph" role="img" aria-label={`Graph of ${data.nodes.length} items; the table says the same`} />;
}

/** The asked item in the middle, the first hop around it, the second outside, each beside whom it is reached from; `wide` times as wide as high. */
function layout({ nodes, edges }: Neighborhood, wide: number): Map<string, { x: number; y: number }> {
  const places = new Map<string, { x: number; y: number }>();
  const angles = new Map<string, number>();
  const hops = [...new Set(nodes.map((node) => node.hop))].sort((a, b) => a - b);
  for (const hop of hops) {
    const ring = nodes.filter((node) => node.hop === hop);
    const wish = (id: string) => {
      const from = edges.filter((e) => (e.target === id && angles.has(e.source)) || (e.source === id && angles.has(e.target)));
      const near = from.sort((a, b) => b.weight - a.weight)[0];
      return near ? (angles.get(near.target === id ? near.source : near.target) ?? 0) : 0;
    };
    if (hop > 1) ring.sort((a, b) => wish(a.id) - wish(b.id));
    ring.forEach((node, n) => {
      const angle = (2 * Math.PI * (n + (hop % 2 ? 0 : 0.5))) / ring.length - Math.PI / 2;
      const radius = hop + (hop === 1 && ring.length > 8 ? (n % 2 ? 0.4 : -0.1) : 0); // two heights leave room for titles
      if (hop > 0) angles.set(node.id, angle);
      places.set(node.id, { x: wide * radius * Math.cos(angle), y: -radius * Math.sin(angle) });
    });
  }
  return places;
}

function draw(box: HTMLElement, data: Neighborhood): Sigma {
  const color = { ink: cssColor('--ink'), line: cssColor('--edge'), center: cssColor('--accent'), near: cssColor('--walk'), far: cssColor('--walk-far'), surface: cssColor('--surface'), ground: cssColor('--ground') };
  const wide = box.clientWidth > 560;
  const graph = new Graph();
  const places = layout(data, wide ? 1.6 : 1);
  const titled = new Set(data.nodes.filter((node) => node.hop === 1).sort((a, b) => b.visits - a.visits).slice(0, wide ? 30 : 7).map((node) => node.id));
  const mostVisits = (hop: number) => Math.max(...data.nodes.filter((node) => node.hop === hop).map((node) => node.visits), 1e-9);
  for (const node of data.nodes) {
    if (graph.hasNode(node.id)) continue;
    graph.addNode(node.id, {
      ...places.get(node.id)!,
      label: shorten(short(node), wide ? 26 : 16),
      forceLabel: node.hop === 0 || titled.has(node.id),
      zIndex: 2 - node.hop,
      size: node.hop === 0 ? 14 : 3 + (node.hop === 1 ? 10 : 4) * Math.sqrt(node.visits / mostVisits(node.hop)),
      color: node.hop === 0 ? color.center : node.hop === 1 ? color.near : color.far,
    });
  }
  const mostWeight = Math.max(...data.edges.map((edge) => edge.weight), 1e-9);
  const first = data.edges.filter((edge) => edge.source === data.nodes[0]!.id).sort((a, b) => b.weight - a.weight);
  const labelled = new Set(first.slice(0, wide ? 5 : 3));
  for (const edge of data.edges) {
    const { source, target, weight } = edge;
    if (source === target || !graph.hasNode(source) || !graph.hasNode(target) || graph.hasEdge(source, target)) continue;
    const label = labelled.has(edge) ? figure(Number(weight.toPrecision(2))) : '';
    graph.addEdge(source, target, { size: 0.6 + 4 * (weight / mostWeight), color: color.line, label, forceLabel: label !== '' });
  }
  const sigma = new Sigma(graph, box, {
    labelColor: { color: color.ink }, labelSize: 12, labelFont: 'system-ui, sans-serif', labelRenderedSizeThreshold: Infinity, // only the forced ones; the others when pointed at
   
    renderEdgeLabels: true, edgeLabelSize: 10, edgeLabelColor: { color: color.ink }, edgeLabelFont: 'system-ui, sans-serif',
    stagePadding: wide ? 48 : 30, allowInvalidContainer: true, // a resize may come while it goes
    enableCameraZooming: false, enableCameraPanning: false, zIndex: true,
    defaultDrawNodeLabel: (context, node, settings) => {
      if (!node.label) return;
      const left = node.x < box.clientWidth / 2 - 1;
      context.font = `${settings.labelSize}px ${settings.labelFont}`;
      context.textAlign = left ? 'right' : 'left';
      context.lineJoin = 'round';
      context.lineWidth = 3;
      context.strokeStyle = color.ground;
      context.fillStyle = color.ink;
      const at = [node.x + (left ? -1 : 1) * (node.size + 4), node.y + 4] as const;
      context.strokeText(node.label, ...at);
      context.fillText(node.label, ...at);
      context.textAlign = 'left';
    },
    defaultDrawNodeHover: (context, node, settings) => {
      context.font = `600 ${settings.labelSize}px ${settings.labelFont}`;
      const text = node.label ?? '';
      const [x, y] = [node.x + node.size + 3, node.y - 11];
      context.fillStyle = color.surface;
      context.fillRect(x - 2, y, context.measureText(text).width + 6, 22);
      context.fillStyle = color.ink;
      context.fillText(text, x, node.y + 4);
      context.strokeStyle = color.ink;
      context.lineWidth = 2;
      context.beginPath();
      context.arc(node.x, node.y, node.size + 2, 0, 2 * Math.PI);
      context.stroke();
    },
  });
  sigma.on('clickNode', ({ node }) => go(link.item(node)));
  sigma.on('enterNode', () => { box.style.cursor = 'pointer'; });
  sigma.on('leaveNode', () => { box.style.cursor = 'default'; });
  return sigma;
}

/** The id where it says the same in far fewer letters. */
function short({ id, title }: Named): string {
  return title === null || (title.length > 22 && 2 * id.length <= title.length && /\p{L}/u.test(id)) ? id : title;
}

function shorten(text: string, most: number): string {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}
