import type { Tool } from "./tool";
export async function downloadTool(_tool: Tool, _bin: string, _options: unknown): Promise<boolean> {
  return false;
}
