// Files for the visitor to keep. Nothing leaves the page.

export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// A file name of the photo's: letters, digits, - and _ alone.
export function stem(name) {
  const plain = name.replace(/\.[^.]*$/, "").replace(/[^\p{L}\p{N}_-]+/gu, "_").replace(/^_+|_+$/g, "");
  return plain.slice(0, 60) || "object";
}
