/** The mark of the running supervisor of a state directory. */
import { readFileIfAny, writeFileAtomically } from "./atomic-file";
import { isSameProcess } from "./pods/process-identity";
import type { StateLayout } from "./state-layout";

export interface SupervisorRecord {
  readonly pid: number;
  readonly processIdentity: string;
  readonly startedAt: string;
}

/** The supervisor that runs now, or undefined. A record of one that was killed counts as none. */
export async function runningSupervisor(layout: StateLayout): Promise<SupervisorRecord | undefined> {
  const text = await readFileIfAny(layout.supervisorFile);
  if (text === undefined) return undefined;
  const record = JSON.parse(text) as SupervisorRecord;
  return isSameProcess(record.pid, record.processIdentity) ? record : undefined;
}

export async function writeSupervisorRecord(layout: StateLayout, record: SupervisorRecord): Promise<void> {
  await writeFileAtomically(layout.supervisorFile, `${JSON.stringify(record)}\n`);
}
