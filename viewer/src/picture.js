// A flat picture in the place of the object: two tiles of the GAN's pictures, one faded into the other.

import { BufferAttribute, BufferGeometry, GLSL3, Mesh, ShaderMaterial, Vector2 } from "three";

import { corner } from "./gan.js";

const vertexShader = `
uniform vec2 scale;
uniform vec2 shift;
out vec2 vPlace;
void main() {
  vPlace = vec2(0.5 + 0.5 * position.x, 0.5 - 0.5 * position.y);
  gl_Position = vec4(position.xy * scale + shift, 0.0, 1.0);
}`;

// Readings stay half a pixel inside the tile: none of its neighbours shines in.
const fragmentShader = `
uniform sampler2D pictures;
uniform vec2 grid;
uniform float tile;
uniform vec2 first;
uniform vec2 second;
uniform float share;
in vec2 vPlace;
out vec4 result;
void main() {
  vec2 inside = clamp(vPlace, 0.5 / tile, 1.0 - 0.5 / tile);
  vec3 before = texture(pictures, (first + inside) / grid).rgb;
  vec3 after = texture(pictures, (second + inside) / grid).rgb;
  result = vec4(mix(before, after, share), 1.0);
}`;

export class Picture {
  constructor(gan, texture) {
    this.gan = gan;
    this.uniforms = {
      pictures: { value: texture }, grid: { value: new Vector2(gan.columns, gan.rows) }, tile: { value: gan.tile },
      first: { value: new Vector2() }, second: { value: new Vector2() }, share: { value: 0 },
      scale: { value: new Vector2() }, shift: { value: new Vector2() },
    };
    const geometry = new BufferGeometry();
    geometry.setAttribute("position", new BufferAttribute(new Float32Array([-1, -1, 0, 1, -1, 0, -1, 1, 0, 1, 1, 0]), 3));
    geometry.setIndex([0, 1, 2, 2, 1, 3]);
    const material = new ShaderMaterial({ glslVersion: GLSL3, vertexShader, fragmentShader, uniforms: this.uniforms });
    material.depthTest = material.depthWrite = false;
    this.mesh = new Mesh(geometry, material);
    this.mesh.frustumCulled = false;
    this.mesh.visible = false;
  }

  // shown: as `tiles` of gan.js has it; scale, shift: of the picture's square in the screen's -1 to 1.
  set(shown, scale, shift) {
    this.uniforms.first.value.set(...corner(this.gan, shown.first));
    this.uniforms.second.value.set(...corner(this.gan, shown.second));
    this.uniforms.share.value = shown.share;
    this.uniforms.scale.value.set(...scale);
    this.uniforms.shift.value.set(...shift);
  }
}
