using System;
using System.Windows.Forms;

namespace Skinnybox.Windows
{
    /// <summary>The plugin's windows, from the command line to the exit code.</summary>
    internal static class Front
    {
        public static Ending Run(Arguments arguments, Pool pool)
        {
            Application.EnableVisualStyles();
            using (var form = new OrderForm(arguments, pool))
            {
                Application.Run(form);
                return form.Ending;
            }
        }

        /// <summary>
        /// The work, with the question whether a certificate is the pool's asked in between. Blocks; not for the
        /// thread of a window that is open already.
        /// </summary>
        public static T Confirming<T>(Pool pool, bool isText, Func<T> work)
        {
            try
            {
                return work();
            }
            catch (Untrusted untrusted)
            {
                if (isText || !CertificateQuestion.Ask(null, untrusted))
                {
                    throw;
                }
                pool.Certificate.Confirm(untrusted.Authority, untrusted.Fingerprint);
                return work();
            }
        }
    }
}
