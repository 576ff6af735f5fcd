// Package deploy tests what ships besides the binary: the compose file, the image
// recipe and the chart's renders. It needs neither a container engine nor a
// cluster.
package deploy
