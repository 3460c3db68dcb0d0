// Package failpoint lets tests end the process between two durable effects, as
// kill -9 would. Only a binary that is built with the tag failpoints has them;
// in every other Hit does nothing.
package failpoint
