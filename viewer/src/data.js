// From the page's JSON to typed arrays.

export function bytes(text) {
  const plain = atob(text);
  const out = new Uint8Array(plain.length);
  for (let i = 0; i < plain.length; i++) out[i] = plain.charCodeAt(i);
  return out;
}

export function decode(raw) {
  const albedo = bytes(raw.albedo);
  return {
    ...raw,
    depth: new Float32Array(bytes(raw.depth).buffer),
    normal: new Int16Array(bytes(raw.normal).buffer),
    albedo,
    colours: bytes(raw.colours),
    mask: albedo.filter((_, i) => i % 4 === 3),
  };
}
