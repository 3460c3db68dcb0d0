// Package release makes the files of a release from binaries that were built: archives, the image as a tarball, and
// what each binary is made of. What it writes depends on what it is given and on nothing else, no clock and no machine,
// so that two makers of one release get the same bytes.
//
// It must not build, must not run a program and must not use the network: scripts/release does the building.
package release
