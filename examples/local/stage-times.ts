/** How long each stage of the last rotation took, waiting and working apart: from the rows that the rollout keeps in the stack. */
import { rotationStages } from "../../core/rotation-stage";
import { typeTokens } from "../../core/type-tokens";

interface ExportedResource {
  readonly type: string;
  readonly urn: string;
  readonly outputs?: { readonly seconds?: number; readonly waitingSeconds?: number };
}

/** A line a stage, from the text of `pulumi stack export`. */
export function stageTimes(stackExport: string): readonly string[] {
  const { deployment } = JSON.parse(stackExport) as { deployment: { resources?: readonly ExportedResource[] } };
  const rows = (deployment.resources ?? []).filter((resource) => resource.type === typeTokens.rotationPhase);
  const lines: string[] = [];
  let working = 0;
  let waiting = 0;
  for (const stage of rotationStages) {
    const row = rows.find((resource) => resource.urn.endsWith(`::${stage}`));
    if (row?.outputs?.seconds === undefined) continue;
    const waited = row.outputs.waitingSeconds ?? 0;
    const worked = row.outputs.seconds - waited;
    working += worked;
    waiting += waited;
    lines.push(line(stage, worked, waited));
  }
  return [...lines, line("all", working, waiting)];
}

function line(name: string, working: number, waiting: number): string {
  return `  ${name.padEnd(8)} working ${working.toFixed(1).padStart(6)} s   waiting for API servers ${waiting.toFixed(1).padStart(6)} s`;
}
