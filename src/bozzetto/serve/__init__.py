"""A local web app: photos are dropped, worked on one at a time, watched while they become objects, and downloaded."""
