using System;

namespace Skinnybox
{
    /// <summary>How the program ends: Skinnybox's own table. XenCenter shows anything but Done as a failed action.</summary>
    internal enum Ending
    {
        Done = 0,
        Failed = 1,
        Usage = 2,
        NotFound = 3,
        Conflict = 4,
        Blocked = 5,
        Unsupported = 6,
        NoSpace = 7,
        OurBug = 70
    }

    /// <summary>What went wrong, in words for a user, and what to do about it (may be "").</summary>
    internal sealed class Trouble : Exception
    {
        public readonly string Hint;
        public readonly Ending Ending;

        /// <summary>The pool's own code, or "".</summary>
        public readonly string Code;

        public Trouble(string message, string hint, Ending ending = Ending.Failed, string code = "")
            : base(message)
        {
            Hint = hint;
            Ending = ending;
            Code = code;
        }

        public override string ToString()
        {
            return Hint == "" ? Message : Message + Environment.NewLine + "hint: " + Hint;
        }
    }
}
