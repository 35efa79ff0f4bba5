// The method's own shading: albedo x (ambient + diffuse x max(0, n . toward)), in the values of the picture file. No
// light of the engine, no tone mapping, no change of colour space.

export const COLOURS = ["lit", "photo", "albedo", "shading", "normal", "depth"];
export const FLAT = -1; // the ground's colour: what hides the lines and points behind

export const vertexShader = `
in vec2 normalXY;
uniform mat4 photoMotion;
uniform float photoScale;
uniform float pointSize;
out vec2 vUv;
out vec2 vPhoto;
out vec3 vNormal;
out float vDepth;
void main() {
  vUv = uv;
  vNormal = vec3(normalXY, -sqrt(max(0.0, 1.0 - dot(normalXY, normalXY))));
  vDepth = position.z;
  vec4 seen = photoMotion * vec4(position, 1.0);
  vPhoto = 0.5 + 0.5 * photoScale * seen.xy / seen.z;
  gl_Position = projectionMatrix * modelViewMatrix * vec4(position, 1.0);
  gl_PointSize = pointSize;
}`;

export const fragmentShader = `
uniform sampler2D albedoMap;
uniform sampler2D fineMap;
uniform vec2 fineUv; // factor and offset from the albedo's coordinates to the fine one's; a factor of 0: there is none
uniform sampler2D photoMap;
uniform sampler2D depthColours;
uniform vec2 strength;
uniform vec3 toward;
uniform vec2 shownDepth;
uniform vec3 ground;
uniform int colour;
uniform bool surface;
in vec2 vUv;
in vec2 vPhoto;
in vec3 vNormal;
in float vDepth;
out vec4 result;
void main() {
  vec4 texel = texture(albedoMap, vUv);
  float rim = (texel.a - 0.5) / max(fwidth(texel.a), 1e-4) + 0.5;
  if (surface ? rim <= 0.0 : texel.a < 0.5) discard;
  vec3 normal = normalize(vNormal);
  float shade = strength.x + strength.y * max(0.0, dot(normal, toward));
  vec3 albedo = fineUv.x > 0.0 ? texture(fineMap, vUv * fineUv.x + fineUv.y).rgb : texel.rgb;
  vec3 rgb = albedo * shade;
  if (colour == 1) rgb = texture(photoMap, vPhoto).rgb;
  else if (colour == 2) rgb = albedo;
  else if (colour == 3) rgb = vec3(shade / max(1.0, strength.x + strength.y));
  else if (colour == 4) rgb = 0.5 + 0.5 * normal * vec3(1.0, -1.0, -1.0);
  else if (colour == 5) {
    float near = clamp((shownDepth.y - vDepth) / (shownDepth.y - shownDepth.x), 0.0, 1.0);
    rgb = texture(depthColours, vec2((near * 255.0 + 0.5) / 256.0, 0.5)).rgb;
  }
  // A height field has no back: from behind it is plain clay.
  if (surface && !gl_FrontFacing) rgb = vec3(0.44, 0.42, 0.40) * (0.55 + 0.45 * abs(normal.z));
  if (colour == -1) rgb = ground;
  result = vec4(rgb, surface ? clamp(rim, 0.0, 1.0) : 1.0);
}`;
