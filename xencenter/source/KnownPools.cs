using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;

namespace Skinnybox
{
    /// <summary>
    /// The certificates that this user confirmed: lines "ADDRESS:PORT SHA-256" of a file in the user's own settings.
    /// XenCenter's own list is not used: it is kept by SHA-1.
    /// </summary>
    internal sealed class KnownPools
    {
        private readonly string path;

        public KnownPools(string path)
        {
            this.path = path;
        }

        /// <summary>SKINNYBOX_KNOWN_POOLS, or known-pools in the user's application data.</summary>
        public static KnownPools OfUser()
        {
            string own = Environment.GetEnvironmentVariable("SKINNYBOX_KNOWN_POOLS");
            string folder = Environment.GetFolderPath(Environment.SpecialFolder.ApplicationData);
            return new KnownPools(string.IsNullOrEmpty(own) ? Path.Combine(folder, "Skinnybox", "known-pools") : own);
        }

        /// <summary>Upper-case hexadecimal digits, or null.</summary>
        public string Fingerprint(string authority)
        {
            return Lines().Where(each => each[0] == authority).Select(each => each[1]).LastOrDefault();
        }

        /// <summary>Trouble where this user may not write there.</summary>
        public void Remember(string authority, string fingerprint)
        {
            try
            {
                Write(authority, fingerprint);
            }
            catch (Exception error)
            {
                if (error is IOException || error is UnauthorizedAccessException)
                {
                    throw new Trouble(
                        Printable.Line("The certificate cannot be remembered: " + error.Message),
                        "Confirmed certificates are kept in " + path + ".");
                }
                throw;
            }
        }

        private void Write(string authority, string fingerprint)
        {
            List<string> kept = Lines().Where(each => each[0] != authority).Select(each => each[0] + " " + each[1]).ToList();
            kept.Add(authority + " " + fingerprint);
            Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(path)));
            string fresh = path + ".new";
            File.WriteAllLines(fresh, kept);
            if (File.Exists(path))
            {
                File.Replace(fresh, path, null);
            }
            else
            {
                File.Move(fresh, path);
            }
        }

        private IEnumerable<string[]> Lines()
        {
            if (!File.Exists(path))
            {
                return new string[0][];
            }
            return File.ReadAllLines(path).Select(line => line.Split(' ')).Where(words => words.Length == 2).ToArray();
        }
    }
}
