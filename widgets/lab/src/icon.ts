// The mark of the studio: two strands that cross, held by one suture.
import { LabIcon } from "@jupyterlab/ui-components";

const MARK = `<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="3 0 22 28">
  <g class="ms-lab-mark" fill="none" stroke="#4f46e5" stroke-linecap="round">
    <path d="M8 4.5c0 6 12 8 12 19M20 4.5c0 6-12 8-12 19" stroke-width="2.8"/>
    <path d="M9.4 19.4h9.2M9.4 8h9.2" stroke-width="1.8"/>
  </g>
</svg>`;

export const markIcon = new LabIcon({ name: "model-surgery:mark", svgstr: MARK });
