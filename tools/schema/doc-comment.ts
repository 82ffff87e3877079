/** The words of a declaration's doc comment, as a description in the schema. */
import ts from "typescript";

/** The comment's text on one line a paragraph, with its default at the end; undefined without a comment. */
export function docOf(node: ts.Node): string | undefined {
  const comment = ts.getJSDocCommentsAndTags(node).find(ts.isJSDoc);
  const text = ts.getTextOfJSDocComment(comment?.comment);
  if (text === undefined) return undefined;
  const byDefault = tagOf(node, "default");
  return [joinLines(text), ...(byDefault === undefined ? [] : [`Default: ${byDefault}`])].join("\n");
}

/** The text behind a tag; an empty text for a tag that stands alone. */
export function tagOf(node: ts.Node, name: string): string | undefined {
  const tag = ts.getJSDocTags(node).find((candidate) => candidate.tagName.text === name);
  return tag === undefined ? undefined : joinLines(ts.getTextOfJSDocComment(tag.comment) ?? "");
}

function joinLines(text: string): string {
  return text
    .split("\n\n")
    .map((paragraph) => paragraph.replace(/\s*\n\s*/g, " ").trim())
    .join("\n\n");
}
