using System;
using System.Linq;
using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Skinnybox
{
    /// <summary>
    /// Whether it is the pool. A certificate is believed when this user confirmed that very one for that address, or
    /// else when Windows trusts it for that address; never otherwise, and the session is not sent before.
    /// </summary>
    internal sealed class Certificate
    {
        private readonly KnownPools known;

        public Certificate(KnownPools known)
        {
            this.known = known;
        }

        /// <summary>What the pool at that address showed last, when that was not believed; else null.</summary>
        public string Refused { get; private set; }

        /// <summary>Whether another one was confirmed for that address.</summary>
        public bool IsChanged { get; private set; }

        public bool IsTrusted(string authority, X509Certificate shown, SslPolicyErrors errors)
        {
            string fingerprint = shown == null ? "" : FingerprintOf(shown);
            string confirmed = known.Fingerprint(authority);
            bool trusted = shown != null && (errors == SslPolicyErrors.None || fingerprint == confirmed);
            Refused = trusted ? null : fingerprint;
            IsChanged = !trusted && confirmed != null;
            return trusted;
        }

        public void Confirm(string authority, string fingerprint)
        {
            known.Remember(authority, fingerprint);
        }

        /// <summary>SHA-256 of the whole certificate, upper-case hexadecimal.</summary>
        private static string FingerprintOf(X509Certificate certificate)
        {
            using (SHA256 sum = SHA256.Create())
            {
                return BitConverter.ToString(sum.ComputeHash(certificate.GetRawCertData())).Replace("-", "");
            }
        }

        /// <summary>In pairs with colons, as openssl and XenCenter show it.</summary>
        public static string Pairs(string fingerprint)
        {
            return string.Join(":", Enumerable.Range(0, fingerprint.Length / 2).Select(at => fingerprint.Substring(at * 2, 2)));
        }
    }

    /// <summary>Nobody confirmed that certificate yet.</summary>
    internal sealed class Untrusted : Exception
    {
        public readonly string Authority;
        public readonly string Fingerprint;
        public readonly bool IsChanged;

        public Untrusted(string authority, string fingerprint, bool isChanged)
        {
            Authority = authority;
            Fingerprint = fingerprint;
            IsChanged = isChanged;
        }

        public Trouble AsTrouble()
        {
            string what = IsChanged
                ? "The certificate of " + Authority + " is another than the one that was confirmed"
                : "The certificate of " + Authority + " is not known";
            return new Trouble(
                what + " (SHA-256 " + Certificate.Pairs(Fingerprint) + ").",
                "Compare it with that of the pool, on its master: openssl x509 -in /etc/xensource/xapi-ssl.pem -noout "
                    + "-fingerprint -sha256. A window of the plugin asks whether it is right.",
                Ending.Blocked);
        }
    }
}
