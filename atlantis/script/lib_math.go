package script

import (
	"math"

	lua "github.com/yuin/gopher-lua"
)

func mathFunctions() functions {
	fns := functions{
		"atan2": func(c call) int { return pushNumbers(c, math.Atan2(c.number(1), c.number(2))) },
		"fmod":  func(c call) int { return pushNumbers(c, math.Mod(c.number(1), c.number(2))) },
		"mod":   func(c call) int { return pushNumbers(c, math.Mod(c.number(1), c.number(2))) },
		"pow":   func(c call) int { return pushNumbers(c, math.Pow(c.number(1), c.number(2))) },
		"ldexp": func(c call) int { return pushNumbers(c, math.Ldexp(c.number(1), c.integer(2))) },
		"frexp": func(c call) int {
			fraction, exponent := math.Frexp(c.number(1))
			return pushNumbers(c, fraction, float64(exponent))
		},
		"modf": func(c call) int {
			if v := c.number(1); math.IsInf(v, 0) {
				return pushNumbers(c, v, 0)
			}
			whole, fraction := math.Modf(c.number(1))
			return pushNumbers(c, whole, fraction)
		},
		"max":    func(c call) int { return extreme(c, func(a, b float64) bool { return a > b }) },
		"min":    func(c call) int { return extreme(c, func(a, b float64) bool { return a < b }) },
		"random": mathRandom,
		"randomseed": func(c call) int {
			c.run.seed(uint32(toInteger(c.number(1))))
			return 0
		},
	}
	for name, fn := range map[string]func(float64) float64{
		"abs": math.Abs, "acos": math.Acos, "asin": math.Asin, "atan": math.Atan, "ceil": math.Ceil, "cos": math.Cos,
		"cosh": math.Cosh, "exp": math.Exp, "floor": math.Floor, "log": math.Log, "log10": math.Log10, "sin": math.Sin,
		"sinh": math.Sinh, "sqrt": math.Sqrt, "tan": math.Tan, "tanh": math.Tanh,
		"deg": func(v float64) float64 { return v / (math.Pi / 180) },
		"rad": func(v float64) float64 { return v * (math.Pi / 180) },
	} {
		fns[name] = func(c call) int { return pushNumbers(c, fn(c.number(1))) }
	}
	return fns
}

func pushNumbers(c call, values ...float64) int {
	for _, v := range values {
		c.Push(lua.LNumber(v))
	}
	return len(values)
}

func extreme(c call, better func(a, b float64) bool) int {
	best := c.number(1)
	for i := 2; i <= c.GetTop(); i++ {
		if v := c.number(i); better(v, best) {
			best = v
		}
	}
	return pushNumbers(c, best)
}

// firstRandom is the state of Redis's generator in a server that has just started; here every run begins with it.
const firstRandom = 0x1234ABCD330E

// seed and next31 are Redis's own generator, drand48's, so that scripts get the numbers that they get there.
func (r *run) seed(v uint32) { r.random = uint64(v)<<16 | 0x330E }

func (r *run) next31() int32 {
	r.random = (r.random*0x5DEECE66D + 0xB) & (1<<48 - 1)
	return int32(r.random >> 17)
}

func mathRandom(c call) int {
	v := float64(c.run.next31()%math.MaxInt32) / math.MaxInt32
	low, high := 1.0, 0.0
	switch c.GetTop() {
	case 0:
		return pushNumbers(c, v)
	case 1:
		high = float64(c.integer(1))
	case 2:
		low, high = float64(c.integer(1)), float64(c.integer(2))
	default:
		c.fail("wrong number of arguments")
	}
	if low > high {
		c.badArgument(c.GetTop(), "interval is empty")
	}
	return pushNumbers(c, math.Floor(v*(high-low+1))+low)
}
