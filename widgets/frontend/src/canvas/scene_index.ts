// The grids over a scene, made once per scene and only when somebody asks.
import { Grid } from "./grid";
import type { Box, Scene, SceneCell, SceneEdge, SceneNode } from "./scene";

export interface SceneIndex {
  nodes: Grid<SceneNode>;
  edges: Grid<SceneEdge>;
  cardNodes: Grid<SceneNode>;
  cardEdges: Grid<SceneEdge>;
}

const made = new WeakMap<Scene, SceneIndex>();

export function indexOf(scene: Scene): SceneIndex {
  let index = made.get(scene);
  if (!index) {
    index = {
      nodes: new Grid(scene.nodes, (node) => node),
      edges: new Grid(scene.edges, edgeBox),
      // What has no width is a place on the card's edge.
      cardNodes: new Grid(
        (scene.card?.nodes ?? []).filter((node) => node.w > 0),
        (node) => node,
      ),
      cardEdges: new Grid(scene.card?.edges ?? [], edgeBox),
    };
    made.set(scene, index);
  }
  return index;
}

/** The cell of a strip under `x`; cells are in order from left to right. */
export function cellAt(cells: readonly SceneCell[], x: number, slack: number): SceneCell | null {
  let low = 0;
  let high = cells.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((cells[middle] as SceneCell).x - slack <= x) low = middle;
    else high = middle - 1;
  }
  const cell = cells[low];
  return cell && x >= cell.x - slack && x <= cell.x + cell.w + slack ? cell : null;
}

/** Curves stay between the levels of their points, so the points' own box holds them. */
function edgeBox({ points }: SceneEdge): Box {
  let [x, y, x2, y2] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const point of points) {
    x = Math.min(x, point.x);
    y = Math.min(y, point.y);
    x2 = Math.max(x2, point.x);
    y2 = Math.max(y2, point.y);
  }
  return points.length === 0
    ? { x: 0, y: 0, w: 0, h: 0 }
    : { x: x - 1, y: y - 1, w: x2 - x + 2, h: y2 - y + 2 };
}
