package process

// Reserve is what only this package's own tests ask for.
var Reserve = reserve
